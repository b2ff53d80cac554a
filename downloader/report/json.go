package report

import (
	"encoding/json"
	"errors"
	"math"
	"time"

	"mimicsync/store"
)

// Types without the methods of their namesakes.
type (
	plainReport       Report
	plainVerification Verification
)

// reportJSON is a Report in JSON: durations in seconds, errors as text.
type reportJSON struct {
	plainReport

	Elapsed      float64 `json:"elapsed_s"`
	AuthorityErr string  `json:"authority_error,omitempty"`
	Err          string  `json:"error,omitempty"`
}

// MarshalJSON adds elapsed_s, and the errors as text.
func (r Report) MarshalJSON() ([]byte, error) {
	r.Failures = inList(r.Failures)
	return json.Marshal(reportJSON{plainReport(r), seconds(r.Elapsed), words(r.AuthorityErr), words(r.Err)})
}

// UnmarshalJSON is the inverse of MarshalJSON, except that errors are text alone.
func (r *Report) UnmarshalJSON(data []byte) error {
	var in reportJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*r = Report(in.plainReport)
	r.Elapsed, r.AuthorityErr, r.Err = duration(in.Elapsed), spoken(in.AuthorityErr), spoken(in.Err)
	for i := range r.Sources {
		r.Sources[i].Err = spoken(r.Sources[i].Dropped)
	}
	return nil
}

type verificationJSON struct {
	plainVerification

	Elapsed float64 `json:"elapsed_s"`
}

// MarshalJSON adds elapsed_s.
func (v Verification) MarshalJSON() ([]byte, error) {
	v.Failures = inList(v.Failures)
	return json.Marshal(verificationJSON{plainVerification(v), seconds(v.Elapsed)})
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (v *Verification) UnmarshalJSON(data []byte) error {
	var in verificationJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*v = Verification(in.plainVerification)
	v.Elapsed = duration(in.Elapsed)
	return nil
}

// inList makes a nil list an empty one, for programs.
func inList(failures []store.Failure) []store.Failure {
	if failures == nil {
		return []store.Failure{}
	}
	return failures
}

// seconds and duration are each other's inverse, to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func duration(seconds float64) time.Duration {
	return time.Duration(math.Round(seconds*1000)) * time.Millisecond
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return Clip(err.Error(), 4*MaxDetail)
}

func spoken(words string) error {
	if words == "" {
		return nil
	}
	return errors.New(words)
}
