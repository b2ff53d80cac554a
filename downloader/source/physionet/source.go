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
// # Refusals
//
// A refusal is doubted before it is believed, because login services, firewalls and
// balancers say no, too: a 401 where there was none before is asked once more, in a
// new session; 400 and 431 with a jar of cookies without them. Why a version is
// refused is then looked into, once for all who ask: its page says what holds for
// everybody, and the JSON API whether the account has access. Only what these two
// say is sure (AccessError.Sure).
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
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
	"mimicsync/downloader/source/transport"
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

// Source is PhysioNet as a source.Source. It is safe for concurrent use.
type Source struct {
	base      *url.URL
	agent     string
	find      func(context.Context) (*Credentials, error) // nil if there are none
	transport httpheader.Guard
	stranger  *http.Client // who sends neither cookies nor an account
	memory    atomic.Pointer[memory]
}

var (
	_ source.Source    = (*Source)(nil)
	_ source.Publisher = (*Source)(nil)
	_ source.Diagnoser = (*Source)(nil)
	_ source.Idler     = (*Source)(nil)
	_ source.Renewer   = (*Source)(nil)
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
	if !source.MayCarrySecrets(base) {
		return nil, fmt.Errorf("the address of PhysioNet, %q, must begin with https:// (http:// works only to this machine)", redact(o.URL))
	}
	s := &Source{base: base, find: finder(o), transport: httpheader.NewGuard(transport.New(transport.Options{DialContext: o.DialContext, Connections: o.Connections, Idle: 50 * time.Second}))}
	// Basic is honoured for agents that start with Wget/; the rest says who we
	// are, as the server's authors ask.
	s.agent = "Wget/1.21 (compatible; mimicsync/" + o.Version + ")"
	s.stranger = &http.Client{Transport: s.transport, CheckRedirect: s.checkRedirect}
	s.Renew()
	return s, nil
}

// finder looks for the account as the options have it.
func finder(o Options) func(context.Context) (*Credentials, error) {
	find := o.Find
	if find == nil || o.Credentials.User != "" {
		find = func(context.Context) (Credentials, error) { return o.Credentials, nil }
	}
	return func(ctx context.Context) (*Credentials, error) {
		found, err := find(ctx)
		if err != nil || found.User == "" {
			return nil, err
		}
		return &found, nil
	}
}

// Name implements source.Source.
func (s *Source) Name() string { return Name }

// String names the source and its address, and not the account.
func (s *Source) String() string { return Name + " at " + s.URL() }

// URL is the address that the source asks.
func (s *Source) URL() string { return s.base.String() }

// CloseIdleConnections implements source.Idler.
func (s *Source) CloseIdleConnections() { s.transport.CloseIdleConnections() }

func (s *Source) address(elem ...string) string { return s.base.JoinPath(elem...).String() }

// below is an address by its path as it is: JoinPath would clean it and read
// escapes in it, and the name of an entry may contain anything.
func (s *Source) below(p string) *url.URL {
	u := *s.base
	u.Path += p
	u.RawPath = ""
	return &u
}
