package physionet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
)

// question is a request for an entry.
type question struct {
	source.Request

	afresh bool // caches on the way must ask the server
}

// reply is an answer, and the request that it belongs to.
type reply struct {
	*http.Response

	account *Credentials // nil: no account
	memory  *memory
}

// ask requests an entry. It asks again with the account if the server requires one; without
// cookies if there may be too many; and once more, in a new session, if an account is
// rejected that was accepted before: a login service in trouble rejects, too.
func (s *Source) ask(ctx context.Context, address *url.URL, q question) (*reply, error) {
	m := s.memory.Load()
	c := m.session.Load()
	account := c.account.Load()
	emptied, doubted := false, false
	for {
		response, err := s.send(ctx, c, address, q, account)
		if err != nil {
			return nil, err
		}
		got := &reply{response, account, m}
		room := c.jar.overfed(response)
		switch {
		case room > 0 && !emptied:
			emptied = true
			discard(response)
			c = s.restart(m, c, room, nil)
			account = c.account.Load()
		case response.StatusCode != http.StatusUnauthorized:
			m.answered(q.Ref, account, response.StatusCode)
			return got, nil
		case account == nil && !doubted && m.doubtOpen(q.Ref):
			doubted = true
			discard(response)
		case account == nil:
			var usable bool
			if got.account, usable, err = s.identify(ctx, m, c); err == nil && !usable {
				return got, nil
			}
			discard(response)
			if err != nil {
				return nil, s.unidentified(ctx, q, err)
			}
			account = got.account
		case !doubted && m.doubt(account):
			doubted = true
			discard(response)
			c = s.restart(m, c, c.jar.room, response)
			c.account.Store(account)
		default:
			s.refuse(m, c, account, response)
			return got, nil
		}
	}
}

// unidentified is the error if looking for an account failed.
func (s *Source) unidentified(ctx context.Context, q question, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := s.unauthorized(q.Ref, nil)
	e.Err = err
	return e
}

// send makes one request. The answer of another server is an error unless it has the bytes.
func (s *Source) send(ctx context.Context, c *session, address *url.URL, q question, account *Credentials) (*http.Response, error) {
	h := http.Header{}
	request := (&http.Request{Method: http.MethodGet, URL: address, Header: h, Host: address.Host}).WithContext(ctx)
	h.Set("User-Agent", s.agent)
	h.Set("Accept-Encoding", "identity")
	if q.Offset > 0 || q.Length > 0 {
		h.Set("Range", httpheader.Range(q.Offset, q.Length))
		if q.Validator != "" {
			h.Set("If-Range", q.Validator)
		}
	}
	if q.NoneMatch != "" {
		h.Set("If-None-Match", q.NoneMatch)
	}
	if q.afresh {
		h.Set("Cache-Control", "no-cache")
	}
	if account != nil {
		request.SetBasicAuth(account.User, account.Password)
	}
	response, err := do(c.client, request)
	if err != nil {
		return nil, err
	}
	if err := s.strange(address, response, q.Path); err != nil {
		discard(response)
		return nil, err
	}
	return response, nil
}

// do sends a request. The URL in its error, which may be that of a redirect, contains no
// secret.
func do(client *http.Client, r *http.Request) (*http.Response, error) {
	response, err := client.Do(r)
	if e, ok := errors.AsType[*url.Error](err); ok {
		access, moved := errors.AsType[*source.AccessError](err)
		portal, between := errors.AsType[*source.PortalError](err)
		switch { // both have their own text, and the URL in e is that of the redirect
		case moved:
			return nil, access
		case between:
			return nil, portal
		}
		e.URL = redact(e.URL)
		e.Err = hungUp(e.Err)
	}
	return response, err
}

// hungUp explains an io.EOF in place of an answer.
func hungUp(err error) error {
	if err == io.EOF { //nolint:errorlint // as the transport gives it; a wrapped one has words already
		return fmt.Errorf("the server closed the connection without an answer: %w", err)
	}
	return err
}

// How much of the body of an error answer to read: a longer one isn't worth it, nor one
// that doesn't end.
const (
	shortBody = 64 << 10
	shortTime = 2 * time.Second
)

// discard reads a short body to its end, so that its connection can be used again, and
// closes it.
func discard(r *http.Response) {
	if r.ContentLength <= shortBody { // or unknown
		slow := time.AfterFunc(shortTime, func() { _ = r.Body.Close() })
		_, _ = io.CopyN(io.Discard, r.Body, shortBody+1) // the content doesn't matter
		slow.Stop()
	}
	_ = r.Body.Close() // the rest isn't needed
}
