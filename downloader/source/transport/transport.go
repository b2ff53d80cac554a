// Package transport makes the http.Transport of every source, so that all of them treat
// connections alike.
package transport

import (
	"context"
	"net"
	"net/http"
	"time"

	"mimicsync/downloader/source"
)

// Options are what differs between sources.
type Options struct {
	// DialContext connects; nil: as a net.Dialer with a time-out of 15 s.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	Connections int // to each host, at least 2
	// Idle is how long an unused connection stays open. It must be shorter than the server
	// keeps it: nginx, by default, closes connections after 75 s.
	Idle time.Duration
}

// New returns a transport that honors HTTPS_PROXY and NO_PROXY.
func New(o Options) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment}
	Tune(t, o)
	return t
}

// Tune sets up the transport of an SDK, except for its proxy and TLS settings.
//
// HTTP/1.1 only: HTTP/2 would put all requests on one connection, and servers limit the rate
// of each. No compression: a .csv.gz must arrive as it is. MaxConnsPerHost keeps requests
// from dialing while the connection of the previous one returns to the pool.
func Tune(t *http.Transport, o Options) {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	t.Protocols, t.ForceAttemptHTTP2 = &http1, false
	t.DisableCompression = true
	t.MaxIdleConns = 0 // the budget is per host
	t.MaxIdleConnsPerHost = max(o.Connections, 2)
	t.MaxConnsPerHost = max(o.Connections, 2)
	t.IdleConnTimeout = o.Idle
	t.TLSHandshakeTimeout = 15 * time.Second
	t.OnProxyConnectResponse = source.RefusedByProxy
	t.ReadBufferSize = 64 << 10
	t.DialContext = o.DialContext
	if t.DialContext == nil {
		t.DialContext = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
}
