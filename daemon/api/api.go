// Package api lets people and programs steer a daemon: HTTP with JSON, over a
// Unix socket in the mirror and, where configured, over TCP.
//
// The socket needs no token: its folder belongs to the owner of the mirror alone.
// Over TCP a Guard stands before everything, the page of Options.Page included.
// Each route stands once, in routes.go, and openapi.json describes it.
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

// Prefix is the path under which the API lies.
const Prefix = "/api/v1"

const (
	// readWait is how long a request may take to arrive, writeWait how long an
	// answer may take to leave. A stream of events has writeWait for each event:
	// who reads more slowly is cut off.
	readWait  = 30 * time.Second
	writeWait = 30 * time.Second
	idleWait  = 2 * time.Minute
	// partWait is how long requests that run may go on when the server ends.
	partWait = 2 * time.Second
)

// Options is what a Server works with. Mirror must be set.
type Options struct {
	Mirror string   // its root folder
	Listen []string // TCP addresses such as 127.0.0.1:8765; none: the socket alone
	Hosts  []string // names, beside those of Listen, by which it is reached over TCP
	// Token is what changes need over TCP, and reading from elsewhere than this
	// machine, see Token. Empty: nobody may do either.
	Token string
	// Page answers on TCP what is neither the API nor the login. The Guard has let
	// through what it gets, and MayChange says what for. May be nil.
	Page http.Handler
	// Advise returns what the command line does about an error of a pass or a
	// plan: its exit code, and what it tells a person to do. May be nil.
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

// New returns a Server that does not listen yet. Without a daemon, as while its
// mirror is away, it serves Options.Page alone, over TCP.
func New(d *daemon.Daemon, o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Advise == nil {
		o.Advise = func(error) (int, string) { return 1, "" }
	}
	return &Server{daemon: d, o: o, streams: make(chan struct{}, maxStreams)}
}

// Socket answers what comes over the socket: the API.
func (s *Server) Socket() http.Handler { return s.routes() }

// TCP answers what comes over TCP: the API, the login and the page, behind the
// guard.
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

// Listen opens the socket and the TCP addresses, so that what follows can be told
// that the daemon is there. The caller must own the mirror: a socket that is there
// is taken for one that a crash left. After an error nothing listens.
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

// Addresses are those that the server listens on over TCP, with the port that
// the system chose for port 0.
func (s *Server) Addresses() []string {
	var all []string
	for _, l := range s.tcp {
		all = append(all, l.Addr().String())
	}
	return all
}

// Serve answers until ctx ends, after Listen. Then it takes no more requests,
// ends the streams of events and gives the other requests two seconds.
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
	<-gctx.Done() // it ends the streams of events
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), partWait)
	defer cancel()
	for _, server := range servers {
		if server.Shutdown(last) != nil {
			_ = server.Close() // what did not end in time is cut off
		}
	}
	return errors.Join(g.Wait(), s.Close())
}

// Close ends listening and removes the socket. Serve does so by itself.
func (s *Server) Close() error {
	for _, l := range s.tcp {
		_ = l.Close() // an error means that it is closed
	}
	if s.socket == nil {
		return nil
	}
	return s.socket.remove()
}
