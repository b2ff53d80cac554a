package retry

import (
	"context"
	"errors"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source"
)

// OutcomeOf is an Observer's word for the end of a request; empty for one that was canceled
// or never made.
func OutcomeOf(err error) string {
	var access *source.AccessError
	var status *source.StatusError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled), errors.Is(err, failure.ErrInterrupted), errors.Is(err, failure.ErrVoid), errors.Is(err, failure.ErrLimit):
		return ""
	case errors.Is(err, source.ErrNotModified):
		return "not_modified"
	case errors.Is(err, source.ErrNotExist):
		return "not_found"
	case errors.As(err, &access):
		return "denied"
	case errors.As(err, &status) && (AnswerOfStatus(status) == pace.Busy || AnswerOfStatus(status) == pace.TooFast):
		return "refused"
	}
	return "error"
}
