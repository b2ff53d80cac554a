package physionet

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
	"mimicsync/manifest"
)

// unauthorized means that the server requires an account, after it got one or none.
func (s *Source) unauthorized(ref manifest.Ref, account *Credentials) *source.AccessError {
	if account == nil {
		return &source.AccessError{Denial: source.NoCredentials, Ref: ref, Source: Name, Page: s.pageOf(ref)}
	}
	return s.refused(ref, *account)
}

// forbidden means that the server accepts the account, or doesn't care about it.
func (s *Source) forbidden(ref manifest.Ref, account *Credentials) *source.AccessError {
	e := &source.AccessError{Denial: source.Forbidden, Ref: ref, Source: Name, Page: s.address("sign-dua", ref.Dataset, ref.Version) + "/"}
	if account != nil {
		e.User, e.From = account.User, account.From
	}
	return e
}

// refused means that a user and password are rejected.
func (s *Source) refused(ref manifest.Ref, c Credentials) *source.AccessError {
	return &source.AccessError{Denial: source.BadCredentials, Ref: ref, Source: Name, User: c.User, From: c.From, Page: s.address("login") + "/"}
}

// notFound finds out what is missing: a file or, if even the manifest is missing, perhaps
// the whole version.
func (s *Source) notFound(ctx context.Context, address *url.URL, r source.Request) error {
	if r.Path == manifest.Name {
		response, err := s.look(ctx, s.pageOf(r.Ref))
		if err != nil {
			return err
		}
		discard(response)
		switch response.StatusCode {
		case http.StatusOK:
			return &source.NotPublishedError{Ref: r.Ref, Source: Name, Page: s.pageOf(r.Ref)}
		case http.StatusNotFound:
			return &source.AccessError{Denial: source.UnknownVersion, Ref: r.Ref, Source: Name, Page: s.address("content", r.Ref.Dataset) + "/"}
		}
		return statusError(s.pageOf(r.Ref), response)
	}
	return fmt.Errorf("%s: %w", redact(address.String()), source.ErrNotExist)
}

func statusError(address string, r *http.Response) error {
	return &source.StatusError{URL: redact(address), Code: r.StatusCode, RetryAfter: httpheader.RetryAfter(r.Header.Get("Retry-After"))}
}
