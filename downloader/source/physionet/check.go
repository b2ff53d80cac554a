package physionet

import (
	"context"
	"fmt"
	"net/http"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// Reach implements source.Diagnoser.
func (s *Source) Reach(ctx context.Context, _ manifest.Ref) (source.Reached, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address("ping")+"/", http.NoBody)
	if err != nil {
		return source.Reached{}, err
	}
	request.Header.Set("User-Agent", s.agent)
	return source.Reach(s.transport, request)
}

// Identify implements source.Diagnoser: it asks PhysioNet whether it accepts the account,
// whatever the account can read.
func (s *Source) Identify(ctx context.Context, ref manifest.Ref) (source.Identity, error) {
	m := s.memory.Load()
	m.finding.Lock()
	account, err := s.lookUp(ctx, m)
	m.finding.Unlock()
	if err != nil || account == nil {
		return source.Identity{}, &source.AccessError{Denial: source.NoCredentials, Ref: ref, Source: Name, Page: s.address("login") + "/", Err: err}
	}
	return source.Identity{User: account.User, From: account.From}, s.check(ctx, *account)
}

// check asks with a request that changes nothing.
func (s *Source) check(ctx context.Context, account Credentials) error {
	// This part of the JSON API requires an account even for an open dataset, and checks it
	// before it looks for the dataset: any answer of the API but 401 means yes. It accepts
	// any User-Agent, and isn't throttled.
	address := s.address("api", "v1", "projects", "published", "mimic-iv-demo", "2.2", "sha256sums") + "/"
	response, err := s.present(ctx, http.MethodGet, address, account)
	if err != nil {
		return err
	}
	discard(response)
	code, page := response.StatusCode, isWebPage(response.Header.Get("Content-Type"))
	accepted := !page && (code == http.StatusOK || code == http.StatusForbidden || code == http.StatusNotFound)
	if code == http.StatusNotFound && page {
		// A server from before 2025 has no such address. A closed dataset that all of them
		// have distinguishes 401 from 403, too.
		address = s.address("files", "mimiciii", "1.4", manifest.Name)
		if response, err = s.present(ctx, http.MethodHead, address, account); err != nil {
			return err
		}
		_ = response.Body.Close() // there is none
		code = response.StatusCode
		accepted = code == http.StatusOK || code == http.StatusForbidden
	}
	switch location, _ := response.Location(); {
	case accepted:
		return nil
	case code == http.StatusUnauthorized:
		return s.refused(manifest.Ref{}, account)
	case location != nil && !sameServer(location, s.base):
		return s.elsewhere(response.Request.URL, location)
	case code/100 == 2 || code/100 == 3 || code/100 == 4 && code != http.StatusTooManyRequests:
		return fmt.Errorf("%s: its answer (status %d) doesn't say whether the password is right", redact(address), code)
	}
	return statusError(address, response)
}

// present sends credentials to an address, but not to one that it redirects to.
func (s *Source) present(ctx context.Context, method, address string, c Credentials) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", s.agent)
	request.Header.Set("Accept", "application/json, */*;q=0.5") // otherwise a web page comes
	request.SetBasicAuth(c.User, c.Password)
	return s.transport.RoundTrip(request)
}
