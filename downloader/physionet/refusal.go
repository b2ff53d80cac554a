package physionet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"mimicsync/downloader"
	"mimicsync/downloader/httpheader"
	"mimicsync/manifest"
)

// unauthorized means that the server wants to know who we are, after it was told
// an account or nothing.
func (s *Source) unauthorized(ref manifest.Ref, account *Credentials) *downloader.AccessError {
	if account == nil {
		return &downloader.AccessError{Denial: downloader.NoCredentials, Ref: ref, Source: Name, Page: s.address("content", ref.Dataset, ref.Version) + "/"}
	}
	return s.refused(ref, *account)
}

// forbidden means that the server knows who we are, or does not care.
func (s *Source) forbidden(ref manifest.Ref, account *Credentials) *downloader.AccessError {
	e := &downloader.AccessError{Denial: downloader.Forbidden, Ref: ref, Source: Name, Page: s.address("sign-dua", ref.Dataset, ref.Version) + "/"}
	if account != nil {
		e.User, e.From = account.User, account.From
	}
	return e
}

// refused means that a user and password are not accepted.
func (s *Source) refused(ref manifest.Ref, c Credentials) *downloader.AccessError {
	return &downloader.AccessError{Denial: downloader.BadCredentials, Ref: ref, Source: Name, User: c.User, From: c.From, Page: s.address("login") + "/"}
}

// notFound finds out what is missing: a file, or, where even the manifest is,
// perhaps the whole version.
func (s *Source) notFound(ctx context.Context, address *url.URL, r downloader.Request) error {
	if r.Path == manifest.Name {
		page := s.below("/content/" + r.Ref.Dataset + "/" + r.Ref.Version + "/")
		response, err := s.send(ctx, page, downloader.Request{}, nil)
		if err != nil {
			return err
		}
		drain(response)
		_ = response.Body.Close() // the status is the answer
		switch response.StatusCode {
		case http.StatusOK:
		case http.StatusNotFound:
			return &downloader.AccessError{Denial: downloader.UnknownVersion, Ref: r.Ref, Source: Name, Page: s.address("content", r.Ref.Dataset) + "/"}
		default:
			return statusError(page.String(), response)
		}
	}
	return fmt.Errorf("%s: %w", redact(address.String()), downloader.ErrNotExist)
}

// closed finds out whether what the server refuses, it refuses to everybody: it
// says so on the page of the version alone, which anybody may read.
func (s *Source) closed(ctx context.Context, r downloader.Request, e *downloader.AccessError) *downloader.AccessError {
	if r.Path != manifest.Name || e.Err != nil {
		return e
	}
	page := s.below("/content/" + r.Ref.Dataset + "/" + r.Ref.Version + "/")
	response, err := s.send(ctx, page, downloader.Request{}, nil)
	if err != nil {
		return e
	}
	const enough = 1 << 20
	text, err := io.ReadAll(io.LimitReader(response.Body, enough))
	_ = response.Body.Close() // it was read
	if err != nil || response.StatusCode != http.StatusOK {
		return e
	}
	switch {
	case bytes.Contains(text, []byte("The files for this version of the project")) && bytes.Contains(text, []byte("no longer available")):
		e.Denial, e.Cause, e.Page = downloader.Forbidden, downloader.CauseWithdrawn, s.address("content", r.Ref.Dataset)+"/"
		e.Detail = "PhysioNet does not give the files of " + r.Ref.String() + " any more"
	case bytes.Contains(text, []byte("Data is not available in your region")):
		e.Denial, e.Cause, e.Page = downloader.Forbidden, downloader.CauseRegion, page.String()
		e.Detail = "PhysioNet does not give the files of " + r.Ref.String() + " to the region from which you ask"
	}
	return e
}

func statusError(address string, r *http.Response) error {
	return &downloader.StatusError{URL: redact(address), Code: r.StatusCode, RetryAfter: httpheader.RetryAfter(r.Header.Get("Retry-After"))}
}
