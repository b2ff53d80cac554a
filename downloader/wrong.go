package downloader

import (
	"errors"
	"fmt"
	"time"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// DifferentError means that a source has another object than the manifest says, for
// as long as its Validator is this one: all bytes came twice, and were the same
// wrong ones. It is not fetched again until it changes.
type DifferentError struct {
	Path      string
	Validator string
	// Mismatch is what came, nil where that was in an earlier pass, which ended At.
	Mismatch *MismatchError
	At       time.Time
}

// Error says since when that is known.
func (e *DifferentError) Error() string {
	if e.Mismatch != nil {
		return "the source has another object, which came twice: " + e.Mismatch.Error()
	}
	return fmt.Sprintf("the source still has the object that was wrong on %s (%s), which is not fetched again until it changes",
		e.At.Local().Format(time.DateOnly), e.Validator)
}

// Unwrap returns Mismatch.
func (e *DifferentError) Unwrap() error {
	if e.Mismatch == nil {
		return nil
	}
	return e.Mismatch
}

// seenUnder is the validator that a source's wrong object is known by, empty if it
// may have been the way here that was wrong.
func seenUnder(err error) string {
	if e, ok := errors.AsType[*DifferentError](err); ok {
		return e.Validator
	}
	return ""
}

// suspicion is what a transfer holds against the object of the source that it asks.
type suspicion struct {
	// known is the object that was wrong in an earlier pass, and when; empty if none
	// was.
	known string
	at    time.Time

	fixed     bool            // the validator of the object on its way changes with its bytes
	validator string          // of the last one that was wrong, empty if there was none
	got       manifest.Digest // of that one
}

// suspect remembers what is known of the source's object.
func (t *transfer) suspect(c *candidate) error {
	t.doubt = suspicion{}
	all, err := t.p.s.Store.WrongOf(t.entry.Digest)
	for _, w := range all {
		if w.Source == c.Name() {
			t.doubt.known, t.doubt.at = w.Validator, w.At
		}
	}
	return err
}

// noneMatch is the validator of the object that is not wanted, if this source has it
// still; empty where the request is about the rest of that one.
func (t *transfer) noneMatch(validator string) string {
	if validator == t.doubt.known {
		return ""
	}
	return t.doubt.known
}

// recognise returns an error if an answer, or the lack of one, says that the object
// is the one that was wrong before.
func (t *transfer) recognise(object *source.Object, err error) error {
	known := t.doubt.known
	if known == "" || err == nil && object.Validator != known || err != nil && !errors.Is(err, source.ErrNotModified) {
		return nil
	}
	return &DifferentError{Path: t.entry.Path, Validator: known, At: t.doubt.at}
}

// convict judges a mismatch: the same wrong bytes twice under a validator that
// changes with them are the object's own.
func (t *transfer) convict(mismatch *MismatchError, validator string) error {
	doubt := &t.doubt
	if t.pure && doubt.fixed && validator != "" && doubt.validator == validator && doubt.got == mismatch.Got {
		return &DifferentError{Path: mismatch.Path, Validator: validator, Mismatch: mismatch, At: time.Now()}
	}
	doubt.validator, doubt.got = validator, mismatch.Got
	return mismatch
}
