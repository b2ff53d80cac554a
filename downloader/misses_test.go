package downloader

import (
	"fmt"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/retry"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// An entry that no source gave fails for what can be done something about.
func TestTheReasonOfSeveralMisses(t *testing.T) {
	var (
		login    = &source.AccessError{Denial: source.NoCredentials, Source: "gcs", Detail: "log in"}
		denied   = &source.AccessError{Denial: source.Forbidden, Source: "gcs", Ref: manifest.Ref{Dataset: "demo", Version: "1.0"}}
		trouble  = fmt.Errorf("read: %w", &source.StatusError{URL: "https://physionet.org/a", Code: 502})
		short    = &failure.SizeError{Want: 2, Got: 1}
		mismatch = &failure.MismatchError{Path: "a"}
		missing  = fmt.Errorf("s3://b/a: %w", source.ErrNotExist)
	)
	for _, tt := range []struct {
		errs []error
		want failure.Reason
	}{
		{[]error{mismatch, mismatch}, failure.ReasonChecksum},
		{[]error{missing, mismatch}, failure.ReasonChecksum}, // wrong wherever there is one
		{[]error{missing, missing}, failure.ReasonNotFound},
		{[]error{mismatch, short}, failure.ReasonSize},
		{[]error{mismatch, short, trouble}, failure.ReasonNetwork},
		{[]error{mismatch, trouble, denied}, failure.ReasonDenied},
		{[]error{missing, denied, login}, failure.ReasonUnauthorized},
	} {
		var misses unservedError
		for i, err := range tt.errs {
			misses = append(misses, miss{fmt.Sprint("source", i), err})
		}
		if _, got := retry.Classify(misses); got != tt.want {
			t.Errorf("the reason of %v is %s, want %s", misses, got, tt.want)
		}
	}
	two := unservedError{{"s3", missing}, {"gcs", login}}
	if got, want := two.Error(), "s3: s3://b/a: not there; gcs: log in"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	one := unservedError{{"s3", missing}}
	if got, want := one.Error(), missing.Error(); got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
