package retry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source"
)

// AnswerOf is what the end of a request says about the number of connections.
func AnswerOf(err error) pace.Answer {
	var status *source.StatusError
	var access *source.AccessError
	switch {
	case err == nil:
		return pace.Good
	case errors.As(err, &status):
		return AnswerOfStatus(status)
	case errors.As(err, &access), errors.Is(err, source.ErrNotExist), errors.Is(err, source.ErrNotModified), errors.Is(err, source.ErrRange), errors.Is(err, source.ErrChanged):
		return pace.Bare
	case failure.IsOutOfFiles(err):
		return pace.NoFile
	case isTurnedAway(err):
		return pace.Closed
	}
	return pace.NoAnswer
}

// isTurnedAway reports whether a host didn't accept a connection, didn't answer on it, or
// didn't keep it.
func isTurnedAway(err error) bool {
	var unanswered *failure.UnansweredError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &unanswered), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return true
	case errors.Is(err, io.EOF): // the server closed the connection without an answer
		return true
	case errors.As(err, &timeout) && timeout.Timeout():
		return IsUnreachable(err) || !errors.Is(err, context.DeadlineExceeded) // the handshake timed out, not the pass
	}
	return false
}

// AnswerOfStatus is what a status says about the number of connections that the host can
// serve.
func AnswerOfStatus(e *source.StatusError) pace.Answer {
	switch {
	case e.Code == http.StatusTooManyRequests:
		return pace.TooFast
	case e.Code == http.StatusServiceUnavailable:
		return pace.Busy
	case e.Code >= 500:
		return pace.Sick
	}
	return pace.Bare // it delivered nothing, and says nothing about connections
}
