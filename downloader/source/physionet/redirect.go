package physionet

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"mimicsync/downloader/source"
)

// mostRedirects is the longest chain of redirects.
const mostRedirects = 5

func (s *Source) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > mostRedirects {
		return errors.New("too many redirects")
	}
	if sameServer(r.URL, via[0].URL) {
		return nil
	}
	if err := s.sentAway(via[0].URL, r.URL); err != nil {
		return err
	}
	r.Header.Del("Authorization") // net/http would keep it for a subdomain
	return nil
}

// sameServer reports whether two addresses are of one server, so that one may have what the
// other has.
func sameServer(a, b *url.URL) bool { return a.Scheme == b.Scheme && site(a) == site(b) }

// sentAway judges a redirect to another server. It is followed, without an account, to
// where the bytes are, but not to PhysioNet under another name, which would require the
// account. The error is nil, an *AccessError that names the right address, or a
// *PortalError.
func (s *Source) sentAway(from, to *url.URL) error {
	if !source.MayCarrySecrets(to) || from.Scheme == "https" && to.Scheme != "https" {
		return &source.PortalError{Asked: redact(from.String()), Host: to.Host, Why: "without https"}
	}
	within := strings.TrimPrefix(from.Path, s.base.Path)
	root, _, same := strings.Cut(to.Path, within)
	if !same || within == "" {
		return nil
	}
	right := url.URL{Scheme: to.Scheme, Host: to.Host, Path: root}
	return &source.AccessError{
		Denial: source.Moved, Source: Name, Page: right.String(),
		Detail: fmt.Sprintf("%s redirects to %s, and an account is never sent to another server", s.URL(), right.String()),
	}
}

// elsewhere is sentAway for requests that only this server may answer.
func (s *Source) elsewhere(from, to *url.URL) error {
	if err := s.sentAway(from, to); err != nil {
		return err
	}
	return &source.PortalError{Asked: redact(from.String()), Host: to.Host}
}

// strange returns an error if this server redirected to another one, which answered without
// the bytes.
func (s *Source) strange(address *url.URL, r *http.Response, name string) error {
	at := r.Request.URL
	if sameServer(at, s.base) {
		return nil
	}
	why := fmt.Sprintf("which answers with status %d", r.StatusCode)
	switch r.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
	default:
		if !isWebPage(r.Header.Get("Content-Type")) || namesWebPage(name) {
			return nil
		}
		why = "which sends a web page"
	}
	return &source.PortalError{Asked: redact(address.String()), Host: at.Host, Why: why}
}

// redact removes user, password and query from a URL.
func redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(unreadable URL)"
	}
	if u.Opaque != "" {
		return "(unreadable URL)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
