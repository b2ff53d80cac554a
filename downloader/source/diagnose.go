package source

import (
	"context"
	"net/http"
	"time"

	"mimicsync/manifest"
)

// Diagnoser is a Source that can find out why it serves nothing. It answers two questions:
// can the server be reached, and who are we to it; Open of the manifest answers the third,
// whether we have access. The zero Ref asks about no dataset. Each call makes one attempt
// and a request or two, and ends with its context.
type Diagnoser interface {
	Source
	// Reach makes a request that asks for nothing. Any answer is a success; the error is
	// what went wrong on the way.
	Reach(ctx context.Context, ref manifest.Ref) (Reached, error)
	// Identify finds the credentials and, if the server can tell, whether they are valid.
	// The error is an *AccessError with NoCredentials if there are none or BadCredentials
	// if they are invalid, or says why that is unknown. The Identity is returned in any
	// case.
	Identify(ctx context.Context, ref manifest.Ref) (Identity, error)
}

// Reached describes the server that answered.
type Reached struct {
	Address string // of the server, without a path
	Proxy   string // address of the proxy, without its password; empty if none
	// Date is the server's clock, zero if it sends none, in whole seconds; Received is this
	// machine's at that moment.
	Date, Received time.Time
}

// Ahead is how far this machine's clock is ahead of the server's, and whether that is
// known.
func (r Reached) Ahead() (time.Duration, bool) {
	return r.Received.Sub(r.Date).Truncate(time.Second), !r.Date.IsZero()
}

// Identity is who we are to a source.
type Identity struct {
	User string // in the server's words, empty if unknown
	From string // where the credentials come from, empty if there are none
	// Anonymous means that the configuration says to send no credentials.
	Anonymous bool
	// Payer is the billing project that pays for reading, empty if none.
	Payer string
}

// Reach sends a request for a Diagnoser, through the transport of the source's other
// requests.
func Reach(transport http.RoundTripper, request *http.Request) (Reached, error) {
	at := Reached{Address: request.URL.Scheme + "://" + request.URL.Host}
	// All sources use the proxy that the environment names.
	if proxy, err := http.ProxyFromEnvironment(request); err == nil && proxy != nil {
		at.Proxy = proxy.Scheme + "://" + proxy.Host
	}
	response, err := transport.RoundTrip(request)
	at.Received = time.Now()
	if err != nil {
		return at, err
	}
	_ = response.Body.Close() // the headers are enough
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		at.Date = date
	}
	return at, nil
}
