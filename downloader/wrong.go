package downloader

import (
	"errors"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// suspicion is what a transfer knows against the object of its current source.
type suspicion struct {
	// known is the object that was wrong in an earlier pass, and when; empty if none was.
	known string
	at    time.Time

	fixed     bool            // the validator of the current object changes with its bytes
	validator string          // of the last wrong object; empty if none
	got       manifest.Digest // of that object
}

// suspect loads what is known of the source's object.
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

// noneMatch is the validator of the unwanted object, if this source still has it; empty if
// the request is for the rest of that object.
func (t *transfer) noneMatch(validator string) string {
	if validator == t.doubt.known {
		return ""
	}
	return t.doubt.known
}

// recognise returns an error if an answer, or the lack of one, shows that the object is the
// one that was wrong before.
func (t *transfer) recognise(object *source.Object, err error) error {
	known := t.doubt.known
	if known == "" || err == nil && object.Validator != known || err != nil && !errors.Is(err, source.ErrNotModified) {
		return nil
	}
	return &failure.DifferentError{Path: t.entry.Path, Validator: known, At: t.doubt.at}
}

// convict judges a mismatch: the same wrong bytes twice, under a validator that changes
// with them, are the object's own.
func (t *transfer) convict(mismatch *failure.MismatchError, validator string) error {
	doubt := &t.doubt
	if t.pure && doubt.fixed && validator != "" && doubt.validator == validator && doubt.got == mismatch.Got {
		return &failure.DifferentError{Path: mismatch.Path, Validator: validator, Mismatch: mismatch, At: time.Now()}
	}
	doubt.validator, doubt.got = validator, mismatch.Got
	return mismatch
}
