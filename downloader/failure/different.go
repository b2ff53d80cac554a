package failure

import (
	"errors"
	"fmt"
	"time"
)

// DifferentError means that a source has another object than the manifest lists, as long as
// its Validator is this one: all bytes arrived twice, and were the same wrong ones both
// times. The object is not fetched again until it changes.
type DifferentError struct {
	Path      string
	Validator string
	// Mismatch is what arrived; nil if that was in an earlier pass, which ended At.
	Mismatch *MismatchError
	At       time.Time
}

// Error says since when that is known.
func (e *DifferentError) Error() string {
	if e.Mismatch != nil {
		return "the source has a different object, received twice: " + e.Mismatch.Error()
	}
	return fmt.Sprintf("the source still has the object that was wrong on %s (%s); it is not fetched again until it changes",
		e.At.Local().Format(time.DateOnly), e.Validator)
}

// Unwrap returns Mismatch.
func (e *DifferentError) Unwrap() error {
	if e.Mismatch == nil {
		return nil
	}
	return e.Mismatch
}

// SeenUnder is the validator of a source's wrong object; empty if the bytes may have been
// damaged in transit.
func SeenUnder(err error) string {
	if e, ok := errors.AsType[*DifferentError](err); ok {
		return e.Validator
	}
	return ""
}

// BoundlessError means that a body of unknown size delivered more than its file can have.
// All of it is dropped.
type BoundlessError struct {
	Got  int64 // bytes received
	Most int64 // that the file may have; 0 if the disk was full first
}

// Error names both sizes.
func (e *BoundlessError) Error() string {
	if e.Most == 0 {
		return fmt.Sprintf("the source doesn't state the size of the file, and sent %s until the disk was full; it was dropped", size(e.Got))
	}
	return fmt.Sprintf("the source doesn't state the size of the file, and sent %s, more than the likely maximum of %s; it was dropped", size(e.Got), size(e.Most))
}
