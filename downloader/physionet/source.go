// Package physionet fetches from PhysioNet as `wget` does, over HTTPS with
// Basic authentication, and as its server likes it best.
//
// # On the wire
//
// HTTP/1.1 only: the server limits each TCP connection to some 40 KB/s, and
// HTTP/2 would put all requests on one. The User-Agent starts with "Wget/":
// the server ignores Basic authentication from others, and says 403. The first
// request goes without credentials; where the answer is 401, it brings a cookie,
// and only with a cookie does the server remember that it has checked the
// password instead of hashing it anew for each file. After that, credentials go
// with every request, at once. There is no HEAD, and no crawling: names come from
// SHA256SUMS.txt.
//
// # Secrets
//
// User and password go over https only, or to this machine itself, and never to
// another host: a redirect to one loses them. They are in no error and no log.
package physionet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mimicsync/downloader"
	"mimicsync/downloader/httpheader"
	"mimicsync/manifest"
)

// DefaultURL is where PhysioNet is.
const DefaultURL = "https://physionet.org"

// Name is the source's word in flags, reports and records.
const Name = "physionet"

// Options say whom to ask, and as whom.
type Options struct {
	URL         string // DefaultURL if empty
	Credentials Credentials
	// Find looks for credentials, where there are none above, when the server
	// first wants some: open datasets never make it so. It is called again by
	// later requests until it has found some, and after the server has rejected
	// what it found: a person may have mended them. None found is not an error. It
	// is called by one goroutine at a time.
	Find    func(context.Context) (Credentials, error)
	Version string // of mimicsync, for the User-Agent
	// Connections is how many idle connections are kept; the budget decides
	// how many are used.
	Connections int
	// DialContext makes the connections, to a proxy where there is one; nil
	// means a plain net.Dialer. downloader.Bandwidth has one.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Source is PhysioNet as a downloader.Source. It is safe for concurrent use.
type Source struct {
	base   *url.URL
	agent  string
	client *http.Client

	finding  sync.Mutex // held while find runs; guards what follows
	find     func(context.Context) (Credentials, error)
	found    Credentials // what find has found
	rejected Credentials // by the server, none if it has accepted all
	since    time.Time   // when it did that last
	// account goes with every request once the server has asked who we are, until
	// it is rejected, and is nil else. A pointer also prints as an address, and not the password.
	account atomic.Pointer[Credentials]
}

var (
	_ downloader.Source    = (*Source)(nil)
	_ downloader.Publisher = (*Source)(nil)
	_ downloader.Diagnoser = (*Source)(nil)
	_ downloader.Idler     = (*Source)(nil)
)

// New returns a Source. The error says what is wrong with the URL.
func New(o Options) (*Source, error) {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	base, err := url.Parse(strings.TrimSuffix(o.URL, "/"))
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("the address of PhysioNet, %q, is not a URL like %s", redact(o.URL), DefaultURL)
	}
	if base.User != nil {
		return nil, errors.New("the address of PhysioNet must not contain a user or password; type them into `mimicsync login`, or set PHYSIONET_USERNAME and PHYSIONET_PASSWORD")
	}
	if !downloader.MayCarrySecrets(base) {
		return nil, fmt.Errorf("the address of PhysioNet, %q, must begin with https:// (http:// is for this machine itself)", redact(o.URL))
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	s := &Source{base: base, find: o.Find}
	if s.find == nil || o.Credentials.User != "" {
		s.find = func(context.Context) (Credentials, error) { return o.Credentials, nil }
	}
	// Basic is honoured for agents that start with Wget/; the rest says who we
	// are, as the server's authors ask.
	s.agent = "Wget/1.21 (compatible; mimicsync/" + o.Version + ")"
	s.client = &http.Client{Transport: transport(o), Jar: jar, CheckRedirect: checkRedirect}
	return s, nil
}

func transport(o Options) *http.Transport {
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         o.DialContext,
		TLSHandshakeTimeout: 15 * time.Second,
		Protocols:           &http1,
		DisableCompression:  true, // a .csv.gz must arrive as it is
		MaxIdleConnsPerHost: max(o.Connections, 2),
		MaxConnsPerHost:     max(o.Connections, 2), // else a request dials while the last one's connection goes back to the pool
		IdleConnTimeout:     50 * time.Second,      // below the 75 s after which nginx hangs up
		ReadBufferSize:      64 << 10,
	}
}

func checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > 5 {
		return errors.New("too many redirects")
	}
	if !downloader.MayCarrySecrets(r.URL) || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return fmt.Errorf("the server redirects to %s, which is not https", redact(r.URL.String()))
	}
	if r.URL.Host != via[0].URL.Host { // net/http would keep it for a subdomain
		r.Header.Del("Authorization")
	}
	return nil
}

// redact takes user, password and query out of a URL.
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

// do sends a request. The URL in its error, which may be that of a redirect,
// tells no secret.
func (s *Source) do(r *http.Request) (*http.Response, error) {
	response, err := s.client.Do(r)
	if e, ok := errors.AsType[*url.Error](err); ok {
		e.URL = redact(e.URL)
		e.Err = hungUp(e.Err)
	}
	return response, err
}

// hungUp says what io.EOF means where an answer was to come.
func hungUp(err error) error {
	if err == io.EOF { //nolint:errorlint // as the transport gives it; a wrapped one has words already
		return fmt.Errorf("the server hung up without an answer: %w", err)
	}
	return err
}

// Name implements downloader.Source.
func (s *Source) Name() string { return Name }

// String names the source and its address, and not the account.
func (s *Source) String() string { return Name + " at " + s.URL() }

// URL is the address that the source asks.
func (s *Source) URL() string { return s.base.String() }

// CloseIdleConnections implements downloader.Idler.
func (s *Source) CloseIdleConnections() { s.client.CloseIdleConnections() }

func (s *Source) address(elem ...string) string { return s.base.JoinPath(elem...).String() }

// below is an address by its path as it is: JoinPath would clean it and read
// escapes in it, and the name of an entry may contain anything.
func (s *Source) below(p string) *url.URL {
	u := *s.base
	u.Path += p
	u.RawPath = ""
	return &u
}

// Open implements downloader.Source.
func (s *Source) Open(ctx context.Context, r downloader.Request) (*downloader.Object, error) {
	address := s.below("/files/" + r.Ref.Dataset + "/" + r.Ref.Version + "/" + r.Path)
	response, account, err := s.get(ctx, address, r)
	if err != nil {
		return nil, err
	}
	object, err := s.object(ctx, address, r, response, account)
	if err != nil {
		drain(response)
		_ = response.Body.Close() // the error is about the answer, not about its body
	}
	return object, err
}

// get asks for an entry, and asks again with credentials where the server wants
// to know who we are. It returns the account that the answer is about, nil if
// there is none.
func (s *Source) get(ctx context.Context, address *url.URL, r downloader.Request) (*http.Response, *Credentials, error) {
	account := s.account.Load()
	response, err := s.send(ctx, address, r, account)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, account, err
	}
	if account != nil {
		s.reject(account)
		return response, account, nil
	}
	account, usable, err := s.identify(ctx)
	if err == nil && !usable {
		return response, account, nil
	}
	drain(response)
	_ = response.Body.Close() // the status was the answer
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, nil, context.Cause(ctx)
	case err != nil:
		e := s.unauthorized(r.Ref, nil)
		e.Err = err
		return nil, nil, e
	}
	response, err = s.send(ctx, address, r, account)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		s.reject(account)
	}
	return response, account, err
}

func (s *Source) send(ctx context.Context, address *url.URL, r downloader.Request, account *Credentials) (*http.Response, error) {
	h := http.Header{}
	request := (&http.Request{Method: http.MethodGet, URL: address, Header: h, Host: address.Host}).WithContext(ctx)
	h.Set("User-Agent", s.agent)
	h.Set("Accept-Encoding", "identity")
	if r.Offset > 0 || r.Length > 0 {
		h.Set("Range", httpheader.Range(r.Offset, r.Length))
		if r.Validator != "" {
			h.Set("If-Range", r.Validator)
		}
	}
	if r.NoneMatch != "" {
		h.Set("If-None-Match", r.NoneMatch)
	}
	if account != nil {
		request.SetBasicAuth(account.User, account.Password)
	}
	return s.do(request)
}

// object judges an answer, to an account or nobody.
func (s *Source) object(ctx context.Context, address *url.URL, r downloader.Request, response *http.Response, account *Credentials) (*downloader.Object, error) {
	o := &downloader.Object{
		Body: response.Body, Size: response.ContentLength, Validator: httpheader.StrongETag(response.Header.Get("ETag")),
	}
	if t, err := http.ParseTime(response.Header.Get("Last-Modified")); err == nil {
		o.Modified = t
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		start, end, total, ok := httpheader.ParseContentRange(response.Header.Get("Content-Range"))
		if !ok || !httpheader.EndsAsAsked(r, end, total) {
			return nil, fmt.Errorf("%s: the answer's Content-Range %q is not what was asked for", redact(address.String()), response.Header.Get("Content-Range"))
		}
		o.Offset, o.Size = start, total
	case http.StatusNotModified:
		return nil, downloader.ErrNotModified
	case http.StatusRequestedRangeNotSatisfiable:
		return nil, downloader.ErrRange
	case http.StatusNotFound:
		drain(response)
		_ = response.Body.Close() // its connection is wanted for the next question
		return nil, s.notFound(ctx, address, r)
	case http.StatusUnauthorized:
		return nil, s.closed(ctx, r, s.unauthorized(r.Ref, account))
	case http.StatusForbidden:
		return nil, s.closed(ctx, r, s.forbidden(r.Ref, account))
	default:
		return nil, statusError(address.String(), response)
	}
	if isWebPage(response.Header.Get("Content-Type")) && !namesWebPage(r.Path) {
		return nil, fmt.Errorf("%s: %w", redact(address.String()), downloader.ErrWebPage)
	}
	return o, nil
}

// Latest implements downloader.Publisher: the page of a dataset redirects to
// that of its newest version. The versions of the JSON API are in order of
// publication, which is not the same.
func (s *Source) Latest(ctx context.Context, dataset string) (string, error) {
	address := s.address("content", dataset) + "/"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	request.Header.Set("User-Agent", s.agent)
	response, err := s.client.Transport.RoundTrip(request) // the redirect is the answer
	if err != nil {
		return "", &url.Error{Op: "Get", URL: redact(address), Err: hungUp(err)}
	}
	drain(response)
	_ = response.Body.Close() // the headers are the answer
	switch {
	case response.StatusCode == http.StatusNotFound:
		return "", &downloader.AccessError{Denial: downloader.UnknownVersion, Ref: manifest.Ref{Dataset: dataset}, Source: Name, Page: s.address("content") + "/"}
	case response.StatusCode/100 != 3:
		return "", statusError(address, response)
	}
	location, err := response.Location()
	if err != nil {
		return "", fmt.Errorf("%s: the newest version's address cannot be read: %w", redact(address), err)
	}
	version := path.Base(location.Path)
	if !manifest.ValidVersion(version) {
		return "", fmt.Errorf("%s leads to %s, which names no version", redact(address), redact(location.String()))
	}
	return version, nil
}

// drain reads a short body, so that its connection can be used again. The
// caller closes it.
func drain(r *http.Response) {
	const short = 64 << 10 // a longer one is not worth it, nor one that may not end
	if r.ContentLength >= 0 && r.ContentLength <= short {
		_, _ = io.Copy(io.Discard, r.Body) // what it says does not matter
	}
}
