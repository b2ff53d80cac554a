package source

import (
	"context"
	"net/http"
	"time"

	"mimicsync/manifest"
)

// Diagnoser is a Source that can say what keeps a person from its bytes. The
// questions are three: can the server be reached, who are we to it, and may we
// read; Open of the manifest answers the third. The zero Ref asks about no
// dataset. Each call makes one attempt and a request or two, and ends with its
// context.
type Diagnoser interface {
	Source
	// Reach makes a request that asks for nothing. An answer of any kind is
	// one; the error is what went wrong on the way.
	Reach(ctx context.Context, ref manifest.Ref) (Reached, error)
	// Identify finds out whose credentials there are and, where the server can
	// tell, whether they are good. The error is an *AccessError with
	// NoCredentials if there are none, with BadCredentials if they are not, or
	// says why nobody knows. What it has found is returned in any case.
	Identify(ctx context.Context, ref manifest.Ref) (Identity, error)
}

// Reached says what is at the other end.
type Reached struct {
	Address string // of the server, without a path
	Proxy   string // address of the proxy in between, without its password; empty if none
	// Date is the server's clock, zero if it does not tell, and Received this
	// machine's at that moment. The former has whole seconds.
	Date, Received time.Time
}

// Ahead is how far this machine's clock is ahead of the server's, and whether
// that is known.
func (r Reached) Ahead() (time.Duration, bool) {
	return r.Received.Sub(r.Date).Truncate(time.Second), !r.Date.IsZero()
}

// Identity is who we are to a source.
type Identity struct {
	User string // as the server names it, empty if it does not
	From string // where the credentials are from, empty if there are none
	// Anonymous means that the configuration wants no credentials to be sent.
	Anonymous bool
	// Payer is the billing project that pays for the reading, empty if none.
	Payer string
}

// Reach sends a request for a Diagnoser, through the transport of its own
// requests.
func Reach(transport http.RoundTripper, request *http.Request) (Reached, error) {
	at := Reached{Address: request.URL.Scheme + "://" + request.URL.Host}
	// All sources go by the environment.
	if proxy, err := http.ProxyFromEnvironment(request); err == nil && proxy != nil {
		at.Proxy = proxy.Scheme + "://" + proxy.Host
	}
	response, err := transport.RoundTrip(request)
	at.Received = time.Now()
	if err != nil {
		return at, err
	}
	_ = response.Body.Close() // the headers are the answer
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		at.Date = date
	}
	return at, nil
}
