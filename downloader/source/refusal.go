package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"mimicsync/manifest"
)

// What a Source says about an object. Sources wrap these errors; any other error counts as
// trouble on the way and is tried again.
var (
	// ErrNotExist means that the source has no such object.
	ErrNotExist = errors.New("not there")
	// ErrNotModified means that the object is still the one that the request named.
	ErrNotModified = errors.New("not modified")
	// ErrRange means that the object ends before the requested offset.
	ErrRange = errors.New("the object is shorter than the offset")
	// ErrChanged means that the object isn't the one of the request's Validator.
	ErrChanged = errors.New("the object has changed at the source")
	// ErrNoRange means that the source answers requests for a part of an object
	// incorrectly. It may serve whole objects.
	ErrNoRange = errors.New("the source doesn't serve parts of the object")
	// ErrWebPage means that the source sent a web page instead of data.
	ErrWebPage = errors.New("the server sent a web page instead of the file")
)

// StatusError is an answer without the object, for reasons that may pass.
type StatusError struct {
	URL        string // without user, password and query
	Code       int
	RetryAfter time.Duration // as the server asked, 0 if it didn't
}

// Error names the status and the URL.
func (e *StatusError) Error() string { return fmt.Sprintf("%s: status %d", e.URL, e.Code) }

// ProxyError means that a proxy refused to connect to a source: trouble of the network,
// whatever the status.
type ProxyError struct {
	Proxy string // its address, without user and password
	Host  string // the host to connect to
	Code  int    // of its answer to CONNECT
}

// Error names the proxy and its answer.
func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy %s refuses to connect to %s: status %d (%s)", e.Proxy, e.Host, e.Code, http.StatusText(e.Code))
}

// RefusedByProxy is for http.Transport.OnProxyConnectResponse: it returns a *ProxyError if
// a proxy refuses CONNECT.
func RefusedByProxy(_ context.Context, proxy *url.URL, connect *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Scheme + "://" + proxy.Host, Host: connect.Host, Code: answer.StatusCode}
}

// ErrNotPublished means that a version is announced and has no manifest yet.
var ErrNotPublished = errors.New("not published yet")

// PortalError means that the source redirects to another server: usually the login page of
// the network.
type PortalError struct {
	Asked string // address, without user, password and query
	Host  string // that it redirects to
	Why   string // why that can't be right, as a clause; may be empty
}

// Error names both.
func (e *PortalError) Error() string {
	to := e.Host
	if e.Why != "" {
		to += ", " + e.Why
	}
	return fmt.Sprintf("%s: it redirects to %s; the network may require a login in the browser", e.Asked, to)
}

// NotPublishedError means that a version is announced and can't be fetched yet: it has a
// page but no manifest.
type NotPublishedError struct {
	Ref    manifest.Ref
	Source string
	Page   string
}

// Error says that this is normal.
func (e *NotPublishedError) Error() string {
	return fmt.Sprintf("%s is not published yet: %s has its page but not its %s; that is normal for some minutes after a publication", e.Ref, e.Source, manifest.Name)
}

// Unwrap makes errors.Is true for ErrNotExist and ErrNotPublished.
func (e *NotPublishedError) Unwrap() []error { return []error{ErrNotExist, ErrNotPublished} }
