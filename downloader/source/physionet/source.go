// Package physionet fetches from PhysioNet like `wget` does, over HTTPS with Basic
// authentication, and in the way that its server handles best.
//
// # Protocol
//
// Only HTTP/1.1: the server limits each TCP connection to about 40 KB/s, and HTTP/2 would
// put all requests on one. The User-Agent starts with "Wget/": the server ignores Basic
// authentication from other clients, and answers 403. The first request has no credentials;
// the answer 401 brings a cookie, and only with a cookie does the server remember that it
// checked the password, instead of hashing it again for each file. After that, every
// request has credentials from the start. There are no HEAD requests and no crawling: names
// come from SHA256SUMS.txt.
//
// # Refusals
//
// A refusal is doubted at first, because login services, firewalls and load balancers
// refuse, too: a 401 where there was none before is tried once more, in a new session;
// after 400 or 431 with many cookies, without them. Then the reason is looked up, once for
// all requests: the version's page says what holds for everybody, and the JSON API whether
// the account has access. Only what these two say is sure (AccessError.Sure).
//
// # Secrets
//
// User and password are sent only over https, or to this machine, and never to another
// host: a redirect to one drops them. They appear in no error and no log.
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

// DefaultURL is the address of PhysioNet.
const DefaultURL = "https://physionet.org"

// Name is the source's word in flags, reports and records.
const Name = "physionet"

// Options configures a Source.
type Options struct {
	URL         string // DefaultURL if empty
	Credentials Credentials
	// Find looks for credentials, unless Credentials is set, when the server first requires
	// some: open datasets never do. Later requests call it again until it has found some,
	// and after the server has rejected them: a person may have corrected them. Finding
	// none is not an error. One goroutine at a time calls it.
	Find    func(context.Context) (Credentials, error)
	Version string // of mimicsync, for the User-Agent
	// Connections is how many idle connections are kept; the budget decides how many are
	// used.
	Connections int
	// DialContext makes the connections, to a proxy if there is one; nil means a plain
	// net.Dialer. pace.Bandwidth has one.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Source is PhysioNet as a source.Source. It is safe for concurrent use.
type Source struct {
	base      *url.URL
	agent     string
	find      func(context.Context) (*Credentials, error) // nil if there are none
	transport httpheader.Guard
	stranger  *http.Client // sends neither cookies nor an account
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
	// The server honours Basic for agents that start with Wget/; the rest says who we are,
	// as the server's authors ask.
	s.agent = "Wget/1.21 (compatible; mimicsync/" + o.Version + ")"
	s.stranger = &http.Client{Transport: s.transport, CheckRedirect: s.checkRedirect}
	s.Renew()
	return s, nil
}

// finder finds the account as the options say.
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

// String names the source and its address, but not the account.
func (s *Source) String() string { return Name + " at " + s.URL() }

// URL is the address of the server.
func (s *Source) URL() string { return s.base.String() }

// CloseIdleConnections implements source.Idler.
func (s *Source) CloseIdleConnections() { s.transport.CloseIdleConnections() }

func (s *Source) address(elem ...string) string { return s.base.JoinPath(elem...).String() }

// below returns an address with the path as it is: JoinPath would clean it and decode
// escapes in it, and the name of an entry may contain anything.
func (s *Source) below(p string) *url.URL {
	u := *s.base
	u.Path += p
	u.RawPath = ""
	return &u
}
