// Package api lets people and programs control a daemon: HTTP with JSON, over a Unix socket
// in the mirror and, if configured, over TCP.
//
// The socket needs no token: only the owner of the mirror has access to its folder. Over
// TCP, a Guard protects everything, including Options.Page. Every route is in routes.go,
// and openapi.json describes it.
//
// Client is the other end of the socket.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"mimicsync/daemon"
)

// Prefix is the path of the API.
const Prefix = "/api/v1"

const (
	// readWait limits the time to receive a request, writeWait the time to send an answer.
	// A stream of events has writeWait for each event: slower readers are cut off.
	readWait  = 30 * time.Second
	writeWait = 30 * time.Second
	idleWait  = 2 * time.Minute
	// partWait is how long running requests may continue when the server ends.
	partWait = 2 * time.Second
)

// Options configures a Server. Mirror must be set.
type Options struct {
	Mirror string   // its root folder
	Listen []string // TCP addresses like 127.0.0.1:8765; none: only the socket
	Hosts  []string // host names for TCP, besides those of Listen
	// Token is required for changes over TCP, and for reading from other machines; see
	// Token. Empty: neither is possible.
	Token string
	// Page answers TCP requests that are neither for the API nor the login. The Guard has
	// let them through, and MayChange says whether they may change something. It may be
	// nil.
	Page http.Handler
	// Advise returns the command line's exit code and advice for an error of a pass or
	// plan. It may be nil.
	Advise func(error) (exitCode int, hint string)
	Logger *slog.Logger // nil: nothing is logged
}

// Server is the control API of one daemon.
type Server struct {
	daemon *daemon.Daemon
	o      Options

	streams chan struct{} // has an item for each stream of events
	socket  *socket
	tcp     []net.Listener
}

// New returns a Server that doesn't listen yet. Without a daemon, while its mirror is
// missing, it serves only Options.Page, over TCP.
func New(d *daemon.Daemon, o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Advise == nil {
		o.Advise = func(error) (int, string) { return 1, "" }
	}
	return &Server{daemon: d, o: o, streams: make(chan struct{}, maxStreams)}
}

// Socket answers requests over the socket: the API.
func (s *Server) Socket() http.Handler { return s.routes() }

// TCP answers requests over TCP: the API, the login and the page, behind the guard.
func (s *Server) TCP() http.Handler {
	mux := http.NewServeMux()
	if s.daemon != nil {
		mux.Handle("/api/", s.routes())
	}
	if s.o.Page != nil {
		mux.Handle("/", s.o.Page)
	}
	return NewGuard(s.o).Protect(mux)
}

// Listen opens the socket and the TCP addresses, so that the caller can announce the
// daemon. The caller must own the mirror: an existing socket counts as left by a crash.
// After an error nothing listens.
func (s *Server) Listen(ctx context.Context) (err error) {
	if s.daemon != nil {
		if s.socket, err = listenSocket(ctx, s.o.Mirror); err != nil {
			return err
		}
	}
	b := &bounds{from: map[netip.Prefix]int{}}
	for _, address := range s.o.Listen {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return errors.Join(fmt.Errorf("listen on %s: %w", address, err), s.Close())
		}
		s.tcp = append(s.tcp, bounded{l, b})
	}
	return nil
}

// Addresses are the TCP addresses that the server listens on, with the actual port for port
// 0.
func (s *Server) Addresses() []string {
	var all []string
	for _, l := range s.tcp {
		all = append(all, l.Addr().String())
	}
	return all
}

// Serve answers requests until ctx ends, after Listen. Then it accepts no more, ends the
// streams of events and gives other requests two seconds.
func (s *Server) Serve(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	var servers []*http.Server
	serve := func(l net.Listener, h http.Handler) {
		server := &http.Server{
			Handler:           h,
			ReadHeaderTimeout: readWait,
			ReadTimeout:       readWait,
			WriteTimeout:      writeWait,
			IdleTimeout:       idleWait,
			MaxHeaderBytes:    maxHeaders,
			BaseContext:       func(net.Listener) context.Context { return gctx },
			ErrorLog:          slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelDebug),
		}
		servers = append(servers, server)
		g.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	if s.socket != nil {
		serve(s.socket.Listener, s.Socket())
	}
	tcp := s.TCP()
	for _, l := range s.tcp {
		serve(l, tcp)
	}
	<-gctx.Done() // ends the streams of events
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), partWait)
	defer cancel()
	for _, server := range servers {
		if server.Shutdown(last) != nil {
			_ = server.Close() // cuts off requests that didn't end in time
		}
	}
	return errors.Join(g.Wait(), s.Close())
}

// Close ends listening and removes the socket. Serve calls it.
func (s *Server) Close() error {
	for _, l := range s.tcp {
		_ = l.Close() // an error means that it is closed
	}
	if s.socket == nil {
		return nil
	}
	return s.socket.remove()
}
