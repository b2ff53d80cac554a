package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"mimicsync/daemon"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
	"mimicsync/internal/plainjson"
	"mimicsync/manifest"
)

// maxBody limits a request: room for thousands of patterns.
const maxBody = 1 << 20

// problem is the answer to a failed request.
type problem struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	// ExitCode is that of Options.Advise, 0 if the status is enough.
	ExitCode int `json:"exit_code,omitempty"`
	// Pruned is what POST prune had removed before the error.
	Pruned []*report.Pruned `json:"pruned,omitempty"`
}

// partError is an error after a part of a request was done.
type partError struct {
	error

	pruned []*report.Pruned
}

func (e *partError) Unwrap() error { return e.error }

// requestError is a mistake in the request.
type requestError struct{ err error }

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// answer returns the status and text for an error.
func (s *Server) answer(err error) (int, problem) {
	p := problem{Error: err.Error()}
	if part, ok := errors.AsType[*partError](err); ok {
		p.Pruned = part.pruned
	}
	var bad *requestError
	switch {
	case errors.As(err, &bad), errors.Is(err, manifest.ErrBadRef):
		p.Hint = "see the fields of the request in " + Prefix + "/openapi.json"
		return http.StatusBadRequest, p
	case errors.Is(err, daemon.ErrUnknown):
		p.Hint = "list the daemon's datasets with: mimicsync status"
		return http.StatusNotFound, p
	case errors.Is(err, daemon.ErrNoSuchPass):
		p.Hint = "list past passes with: GET " + Prefix + "/history"
		return http.StatusNotFound, p
	case errors.Is(err, daemon.ErrNotRunning):
		p.Hint = "list running passes with: mimicsync status"
		return http.StatusConflict, p
	case errors.Is(err, daemon.ErrOtherJob):
		p.Hint = "try again when that has ended"
		return http.StatusLocked, p
	case errors.Is(err, daemon.ErrBusy):
		p.Hint = "wait until its pass has ended (mimicsync status shows it), or stop it with: mimicsync daemon pause DATASET, and later continue with: mimicsync daemon resume DATASET"
		return http.StatusLocked, p
	case errors.Is(err, failure.ErrSources):
		p.Hint = "name other sources, or add them to the configuration and restart the daemon"
		return http.StatusConflict, p
	case errors.Is(err, failure.ErrKept):
		return http.StatusConflict, p
	case errors.Is(err, daemon.ErrBadSettings):
		p.Hint = "the daemon keeps its current configuration; correct the file, check it with: mimicsync config check, and reload again"
		return http.StatusConflict, p
	case errors.Is(err, errBusy):
		p.Hint = "close pages and programs that follow this daemon's events, or poll GET " + Prefix + "/status instead"
		return http.StatusServiceUnavailable, p
	}
	p.ExitCode, p.Hint = s.o.Advise(err)
	return http.StatusInternalServerError, p
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		code, b = http.StatusInternalServerError, []byte(`{"error":"the answer can't be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(plainjson.Escape(b), '\n')) // a client that is gone needs no answer
}

// readJSON reads the body into v. Unknown fields are an error.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &requestError{errors.New("the request's body: " + err.Error())}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &requestError{errors.New("the request's body has more than one JSON object")}
	}
	return nil
}
