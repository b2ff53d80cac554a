package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os/exec"
	"strings"

	"cloud.google.com/go/compute/metadata"

	"mimicsync/downloader/source"
)

// loginError says why there is no token. It uses only the status and code of a login
// service's answer. Trouble of the service, or on the way to it, is tried again.
func (s *Source) loginError(x *exchange, r source.Request, err error) error {
	if bad, ok := errors.AsType[badLogin](err); ok {
		return s.badLogin(r, bad.Error())
	}
	answer := loginAnswer{}
	if failed, ok := errors.AsType[*tokenError](err); ok {
		answer = *failed.answer
	}
	machine, onMachine := errors.AsType[*metadata.Error](err)
	switch {
	case onMachine:
		return &source.StatusError{URL: "this machine's metadata service", Code: machine.Code}
	case isTrouble(answer.status), answer.status/100 == 3:
		return &source.StatusError{URL: answer.host, Code: answer.status, RetryAfter: answer.retryAfter}
	case answer.status == 0 && onTheWay(err):
		return fmt.Errorf("ask Google for a token: %w", wireError(err))
	case answer.status == 0 && isExternal(x.who):
		return s.federation(r, outside(err))
	case answer.status == 0:
		return s.badLogin(r, "they are incomplete") // its errors may quote it
	case strings.Contains(answer.path, ":generate"): // of a token of a service account
		return s.noRole(r, answer)
	case isExternal(x.who):
		return s.federation(r, fmt.Sprintf("%s answers %d, %.60q", answer.host, answer.status, answer.code))
	case answer.code == "invalid_grant" || answer.code == "invalid_rapt":
		return s.expired(r, x.who)
	}
	return s.badLogin(r, fmt.Sprintf("Google answers %d, %.60q", answer.status, answer.code))
}

// isExternal reports whether credentials are those of another provider, whose tokens Google
// exchanges.
func isExternal(who *identity) bool {
	return who != nil && strings.HasPrefix(who.kind, "external_account")
}

// onTheWay reports whether a token was requested, and the answer wasn't one. Otherwise the
// credentials don't suffice for a request.
func onTheWay(err error) bool {
	_, wire := errors.AsType[*url.Error](err)
	_, garbled := errors.AsType[*json.SyntaxError](err)
	_, mistyped := errors.AsType[*json.UnmarshalTypeError](err)
	return wire || garbled || mistyped || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// wireError is err without the words and the address around it, and without the answer.
func wireError(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return errors.New("the answer has an unexpected form")
}

// outside says why another identity provider gave no token.
func outside(err error) string {
	var file *fs.PathError
	var exit *exec.ExitError
	switch {
	case errors.As(err, &file):
		return fmt.Sprintf("the file with its token, %s, can't be read: %v", file.Path, file.Err)
	case errors.As(err, &exit):
		return "the program that gets its token failed: " + exit.String()
	case strings.Contains(err.Error(), "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"):
		return "its token comes from a program, which runs only if GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES is 1"
	}
	return "its token couldn't be obtained"
}

// federation is the error for a login at another provider, like that of a cluster or of
// another cloud.
func (s *Source) federation(r source.Request, why string) error {
	e := s.refused(r, source.BadCredentials, source.CauseFederation)
	e.From, e.Page = applicationWord, aboutFederation
	e.Detail = fmt.Sprintf("the Google login through another identity provider (workload identity federation) fails: %s; "+
		"renew that provider's token, and compare the pool and the provider in the credentials file with those at Google", why)
	return e
}

// noRole is the error for a login that can't act for a service account.
func (s *Source) noRole(r source.Request, answer loginAnswer) error {
	account := answer.path[strings.LastIndexByte(answer.path, '/')+1:]
	account, _, _ = strings.Cut(account, ":")
	e := s.refused(r, source.BadCredentials, source.CauseNoRole)
	e.From, e.Page = applicationWord, aboutImpersonation
	e.Detail = fmt.Sprintf("the Google login is valid, but can't act for the service account %.100s (%d, %.60q): it needs the role Service Account Token Creator, and the account must exist",
		account, answer.status, answer.code)
	return e
}

func (s *Source) expired(r source.Request, who *identity) error {
	e := s.refused(r, source.BadCredentials, source.CauseLoginExpired)
	e.From, e.Command = applicationWord, loginCommand
	if who != nil {
		e.User = who.email
	}
	e.Detail = "the Google login has expired or was revoked: run " + loginCommand
	return e
}

func (s *Source) badLogin(r source.Request, why string) error {
	e := s.refused(r, source.BadCredentials, source.CauseBadLogin)
	e.From, e.Command = applicationWord, loginCommand
	e.Detail = fmt.Sprintf("%s can't be used (%s): see GOOGLE_APPLICATION_CREDENTIALS, or run %s", applicationWord, why, loginCommand)
	return e
}
