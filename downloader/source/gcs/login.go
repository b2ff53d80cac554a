package gcs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/compute/metadata"

	"mimicsync/downloader/source/httpheader"
)

// scope is read-only access.
const scope = "https://www.googleapis.com/auth/devstorage.read_only"

// tokenTimeout limits a request for a token, which is a few hundred bytes.
const tokenTimeout = 30 * time.Second

// login is our login at Google. One caller at a time looks for credentials or requests a
// token, however many wait. It is safe for concurrent use.
type login struct {
	anonymous bool         // use no credentials, even if there are some
	client    *http.Client // for tokens

	turn    chan struct{} // holds one value, for the caller that asks
	found   *identity     // nil until it is looked for; for the holder of turn
	machine bool          // this machine has given tokens before; for the holder of turn
	failure error         // of the last caller, nil if that succeeded; for the holder of turn
	failed  uint64        // how many failed; for the holder of turn
	fails   atomic.Uint64 // the same, for those who wait

	current atomic.Pointer[identity] // found, for renew
}

func newLogin(anonymous bool, client *http.Client) *login {
	l := &login{anonymous: anonymous, client: client, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l
}

// identity is the owner of credentials.
type identity struct {
	credentials *auth.Credentials // nil for nobody
	kind        string            // like "authorized_user", empty if unknown
	email       string            // of a service account, empty if unknown
	stale       atomic.Bool       // it must be looked for again
}

// String hides the credentials.
func (i *identity) String() string { return "identity(" + i.kind + ")" }

func (i *identity) isService() bool { return i.kind == "service_account" }

// token returns an access token and its owner; an empty token for nobody. The error is a
// badLogin, a *tokenError, or that of ctx; the owner may be unknown then.
func (l *login) token(ctx context.Context) (*identity, string, error) {
	arrived := l.fails.Load()
	select {
	case <-l.turn:
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	}
	defer func() { l.turn <- struct{}{} }()
	if l.failure != nil && l.failed > arrived { // another caller asked while we waited
		return l.found, "", l.failure
	}
	token, err := l.ask(ctx)
	who := l.found
	if err == nil || ctx.Err() != nil {
		l.failure = nil
		return who, token, err
	}
	l.failure, l.failed = err, l.fails.Add(1)
	l.found = nil // a daemon must use a login that its user has made or renewed since
	return who, "", err
}

// ask is token for the holder of turn.
func (l *login) ask(ctx context.Context) (string, error) {
	answer := new(loginAnswer)
	ctx = context.WithValue(ctx, answerKey{}, answer)
	if l.found == nil || l.found.stale.Load() {
		who, err := l.look(ctx)
		if err != nil {
			l.found = nil
			return "", err
		}
		l.found = who
		l.current.Store(who)
	}
	if l.found.credentials == nil {
		return "", nil
	}
	token, err := l.found.credentials.Token(ctx)
	if err != nil {
		return "", &tokenError{err, answer}
	}
	l.machine = l.machine || l.found.kind == ""
	return token.Value, nil
}

// look looks for the application default credentials.
func (l *login) look(ctx context.Context) (*identity, error) {
	if l.anonymous {
		return &identity{}, nil
	}
	return detect(ctx, l.client, l.machine)
}

// forget makes the next request look for credentials again.
func (l *login) forget(who *identity) {
	if who != nil {
		who.stale.Store(true)
	}
}

// renew does so for any identity.
func (l *login) renew() { l.forget(l.current.Load()) }

// tokenError means that credentials gave no token.
type tokenError struct {
	error

	answer *loginAnswer
}

// Unwrap returns the library's error.
func (e *tokenError) Unwrap() error { return e.error }

// loginAnswer is the last answer of a login service that gave no token. There may be
// several services on the way to a token: Google's for the token of another provider, and
// that of a service account. The library describes most answers only in words.
type loginAnswer struct {
	host       string // with its scheme
	path       string
	status     int // 0 if there was no answer, or all were correct
	retryAfter time.Duration
	code       string // like "invalid_grant"
}

// answerKey is the context key of a token request's loginAnswer.
type answerKey struct{}

// listening is the transport to login services.
type listening struct{ httpheader.Guard }

// RoundTrip implements http.RoundTripper.
func (t listening) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.Guard.RoundTrip(r)
	answer, ok := r.Context().Value(answerKey{}).(*loginAnswer)
	if err != nil || !ok || response.StatusCode/100 == 2 {
		return response, err
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10)) // half an error is an error, too
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(text))
	*answer = loginAnswer{
		host: r.URL.Scheme + "://" + r.URL.Host, path: r.URL.Path, status: response.StatusCode,
		retryAfter: httpheader.RetryAfter(response.Header.Get("Retry-After")), code: loginCode(text),
	}
	return response, nil
}

// loginCode is the error code in either of the two forms; empty if it has neither.
func loginCode(text []byte) string {
	var flat struct {
		Error string `json:"error"`
	}
	var deep struct {
		Error struct {
			Status string `json:"status"`
		} `json:"error"`
	}
	switch {
	case json.Unmarshal(text, &flat) == nil:
		return flat.Error
	case json.Unmarshal(text, &deep) == nil:
		return deep.Error.Status
	}
	return ""
}

// badLogin means that there are unusable credentials.
type badLogin struct{ error }

// detect looks for the application default credentials. isMachine says that this machine
// has given some before: then it is one of Google's.
func detect(ctx context.Context, client *http.Client, isMachine bool) (*identity, error) {
	found, err := credentials.DetectDefault(&credentials.DetectOptions{Scopes: []string{scope}, Client: client, Logger: slog.New(slog.DiscardHandler)})
	switch {
	case err != nil && strings.Contains(err.Error(), "could not find default credentials"): // it has no type
		if isMachine {
			return nil, &tokenError{errors.New("this machine's metadata service can't be reached"), &loginAnswer{status: http.StatusServiceUnavailable, host: "metadata"}}
		}
		return &identity{}, nil
	case err != nil:
		return nil, badLogin{err}
	}
	who := &identity{credentials: found}
	if len(found.JSON()) == 0 {
		// No file: a machine of Google's, or one that only looks like it.
		_, err := found.Token(ctx)
		if err == nil {
			return who, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		said, answered := errors.AsType[*metadata.Error](err)
		if isMachine || answered && isTrouble(said.Code) {
			return nil, &tokenError{err, new(loginAnswer)}
		}
		return &identity{}, nil
	}
	var file struct {
		Type  string `json:"type"`
		Email string `json:"client_email"`
	}
	if err := json.Unmarshal(found.JSON(), &file); err != nil {
		return nil, badLogin{fmt.Errorf("read the credentials: %w", err)}
	}
	who.kind, who.email = file.Type, file.Email
	return who, nil
}

// isTrouble reports whether a status is about the server, and not about the client.
func isTrouble(status int) bool {
	return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}
