// Package lookalike is an [http.Handler] that answers as PhysioNet does, with faults on demand. It is for the tests of the
// downloader and its sources, for the demo command, which needs no network and no account, and for benchmarks over hundreds of
// thousands of generated files.
//
// What it reproduces is what a client can notice: who may use Basic authentication and which status says no, the session cookie
// that spares the server a password hash, nginx's validators, ranges and directory listings, the redirect to the newest version,
// the JSON API and its throttle. The same request gets the same status, the same headers and, for files, the same bytes.
//
// It is safe for concurrent use. No lock is held while bytes are sent, memory does not grow with the number of requests unless
// Record is set, and nothing in it imports package testing.
//
// What it does not do: zip archives (get-zip answers 404, as for a project without one), the HTML pages' looks, redirects of
// legacy addresses, OAuth, country detection, the cloud copies. It must not face a network that is not trusted: passwords are
// kept and compared in the clear.
package lookalike

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Server answers as PhysioNet does. Use [New]; the exported fields may be set until the first request.
type Server struct {
	// Realm is announced with a 401; "PhysioNet" if empty.
	Realm string
	// Now is the clock of the API's throttle, of trainings and of the request limit; [time.Now] if nil.
	Now func() time.Time
	// HashDelay is how long one password check takes. PhysioNet's PBKDF2 takes 75 ms and more.
	HashDelay time.Duration
	// PlainBasic honours Basic authentication without TLS too, as PhysioNet's own development server does.
	PlainBasic bool
	// Record keeps a log of every request for [Server.Requests]. It grows without bound.
	Record bool

	// APIPerHour is how many API requests an anonymous client may make in an hour, and a fifth of what a known user may; 20 if 0.
	APIPerHour int
	// BytesPerSecondPerConn caps the bodies on each connection; 0 is no cap. PhysioNet gives about 45,000. Where [Server.Attach]
	// or [Server.ConnContext] is not in use, it caps each response instead.
	BytesPerSecondPerConn int64
	// MaxConcurrent is how many requests are served at once; 0 is no limit. One more gets a 503, or silence for HangOver.
	MaxConcurrent int
	// HangOver makes requests above MaxConcurrent wait this long without an answer, after which their connection is dropped.
	HangOver time.Duration
	// RequestsPerSecond is how many requests are answered in a second, in bursts of as many; 0 is no limit. One more gets a 429
	// with Retry-After.
	RequestsPerSecond int

	// mu guards what Publish and the users' methods change. What the maps point to is never changed, only replaced.
	mu       sync.RWMutex
	projects map[string]*published
	lastID   int
	users    map[string]*User // by lower-case name and by lower-case e-mail
	sessions map[string]session

	// refuse answers what is above the limits; it is never changed.
	refuse func(w *response, code int)

	faults   faults
	counters counters
	throttle throttle
	bucket   bucket
	conns    conns

	closeOnce sync.Once
	closed    chan struct{}
}

// New returns a server of these projects, without users.
func New(projects ...Project) *Server {
	s := &Server{
		projects: make(map[string]*published),
		users:    make(map[string]*User),
		sessions: make(map[string]session),
		closed:   make(chan struct{}),
		refuse:   nginxPage,
	}
	for _, p := range projects {
		s.Publish(p)
	}
	return s
}

// Close ends every stall and delay that is in progress, so that closing the surrounding server does not wait for them.
// Requests are still answered afterwards.
func (s *Server) Close() {
	s.closeOnce.Do(func() { close(s.closed) })
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := &response{ResponseWriter: rw, server: s, request: r}
	running := s.counters.arrive(r)
	defer s.counters.leave(w) // by defer: a fault may end the request by a panic
	rw.Header()["Server"] = serverHeader
	if !s.admit(w, r, running) {
		return
	}
	if f := s.faults.claim(onArrival, r, span{}); f != nil && s.strikeOnArrival(w, r, f) {
		return
	}
	s.route(w, r)
}

func (s *Server) route(w *response, r *http.Request) {
	root, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if root == "api" {
		s.serveAPI(w, r, rest)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		forbidden(w) // Django's CSRF check
		return
	}
	switch root {
	case "files":
		s.serveFiles(w, r, rest)
	case "static":
		s.serveStatic(w, r, rest)
	case "content":
		s.serveContentPage(w, r, rest)
	case "robots.txt":
		// The missing line end is PhysioNet's own.
		page(w, http.StatusOK, "text/plain; charset=utf-8", []byte(`User-Agent: *\Allow: /`))
	case "ping":
		page(w, http.StatusOK, htmlType, nil)
	default:
		notFound(w)
	}
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// pause waits for d, or for ever if d is 0, and reports whether that time has passed: it ends early when the client goes away or
// the server is closed.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	var elapsed <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		elapsed = t.C
	}
	select {
	case <-elapsed:
		return true
	case <-ctx.Done():
	case <-s.closed:
	}
	return false
}

// response counts what goes through it.
type response struct {
	http.ResponseWriter
	server  *Server
	request *http.Request
	status  int // 0 until the headers are written
	entry   *logged
}

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
		w.server.counters.answer(w)
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements [http.ResponseWriter]. Bytes are counted before they are written, so that a client that has them never sees a
// counter that lacks them.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	counted := w.request.Method != http.MethodHead
	if counted {
		w.count(len(p))
	}
	n, err := w.ResponseWriter.Write(p)
	if counted && n < len(p) {
		w.count(n - len(p))
	}
	return n, err
}

func (w *response) count(n int) {
	w.server.counters.bytesSent.Add(int64(n))
	if w.entry != nil {
		w.entry.bytes.Add(int64(n))
	}
}

func (w *response) flush() {
	// An error means that the connection is gone, which the next write reports.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}
