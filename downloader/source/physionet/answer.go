package physionet

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
)

// Open implements source.Source.
func (s *Source) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	address := s.below("/files/" + r.Ref.Dataset + "/" + r.Ref.Version + "/" + r.Path)
	got, err := s.ask(ctx, address, question{Request: r})
	if err == nil && beyondUse(r, got.Response) {
		discard(got.Response)
		r = source.Request{Ref: r.Ref, Path: r.Path} // all of it
		got, err = s.ask(ctx, address, question{Request: r, afresh: true})
	}
	if err != nil {
		return nil, err
	}
	object, err := s.object(ctx, address, r, got)
	if err != nil {
		discard(got.Response) // the error describes the answer, not its body
	}
	return object, err
}

// beyondUse reports whether an answer doesn't fit the request: a cache says "not modified"
// without being asked, or sends a part of a copy that was compressed on the way. Then the
// whole object is requested.
func beyondUse(r source.Request, response *http.Response) bool {
	switch response.StatusCode {
	case http.StatusNotModified:
		return r.NoneMatch == ""
	case http.StatusPartialContent:
		return isGzip(contentEncoding(response)) && !namesGzip(r.Path)
	}
	return false
}

// object makes an object of an answer, or an error.
func (s *Source) object(ctx context.Context, address *url.URL, r source.Request, got *reply) (*source.Object, error) {
	o := &source.Object{
		Body: got.Body, Size: got.ContentLength, Validator: httpheader.StrongETag(got.Header.Get("ETag")),
	}
	if t, err := http.ParseTime(got.Header.Get("Last-Modified")); err == nil {
		o.Modified = t
	}
	switch got.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		start, end, total, ok := httpheader.ParseContentRange(got.Header.Get("Content-Range"))
		if !ok || !httpheader.EndsAsAsked(r, end, total) {
			return nil, fmt.Errorf("%s: %w: its Content-Range is %q", redact(address.String()), source.ErrNoRange, got.Header.Get("Content-Range"))
		}
		o.Offset, o.Size = start, total
	default:
		return nil, s.refusal(ctx, address, r, got)
	}
	if isWebPage(got.Header.Get("Content-Type")) && !namesWebPage(r.Path) {
		return nil, fmt.Errorf("%s: %w", redact(address.String()), source.ErrWebPage)
	}
	if err := decode(o, got.Response, r.Path); err != nil {
		return nil, fmt.Errorf("%s: %w", redact(address.String()), err)
	}
	return o, nil
}

// refusal returns the error for a status without bytes. With a Retry-After, it is a refusal
// for now, as by firewalls: PhysioNet itself sends none about access.
func (s *Source) refusal(ctx context.Context, address *url.URL, r source.Request, got *reply) error {
	refused := got.StatusCode == http.StatusUnauthorized || got.StatusCode == http.StatusForbidden
	if refused && got.Header.Get("Retry-After") != "" {
		return statusError(address.String(), got.Response)
	}
	switch got.StatusCode {
	case http.StatusNotModified:
		if r.NoneMatch == "" {
			return fmt.Errorf("%s: the server answers \"not modified\" (304) to a request that didn't ask: a cache in between may be broken", redact(address.String()))
		}
		return source.ErrNotModified
	case http.StatusRequestedRangeNotSatisfiable:
		return source.ErrRange
	case http.StatusNotFound:
		discard(got.Response) // its connection is needed for the next request
		return s.notFound(ctx, address, r)
	case http.StatusUnauthorized:
		discard(got.Response)
		return s.explain(ctx, r.Ref, got, s.unauthorized(r.Ref, got.account))
	case http.StatusForbidden:
		discard(got.Response)
		return s.explain(ctx, r.Ref, got, s.forbidden(r.Ref, got.account))
	}
	return statusError(address.String(), got.Response)
}
