// Package lookalike is an [http.Handler] that answers like PhysioNet, with faults on
// demand. It is for the tests of the downloader and its sources, for the demo command,
// which needs no network and no account, and for benchmarks over hundreds of thousands of
// generated files.
//
// It reproduces what a client can notice: which clients can use Basic authentication and
// which status refuses others, the session cookie that spares the server a password hash,
// nginx's validators, ranges and directory listings, the redirect to the newest version,
// the JSON API and its throttle. The same request gets the same status, the same headers
// and, for files, the same bytes.
//
// It is safe for concurrent use. No lock is held while bytes are sent, memory doesn't grow
// with the number of requests unless Record is set, and nothing in it imports package
// testing.
//
// [GCS] answers like Google Cloud Storage, and [S3] like Amazon S3, in the same manner.
//
// It doesn't have zip archives (get-zip answers 404, as for a project without one), the
// look of the HTML pages, redirects of legacy addresses, OAuth or country detection. Don't
// use it in an untrusted network: it stores and compares passwords in plain text.
package lookalike

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers like PhysioNet. Use [New]; the exported fields may be set before the first
// request.
type Server struct {
	Host

	// Realm is sent with a 401; "PhysioNet" if empty.
	Realm string
	// HashDelay is the time of one password check. PhysioNet's PBKDF2 takes at least 75 ms.
	HashDelay time.Duration
	// PlainBasic accepts Basic authentication without TLS, too, like PhysioNet's own
	// development server.
	PlainBasic bool

	// APIPerHour is how many API requests an anonymous client can make per hour, and a
	// fifth of what a known user can; 20 if 0.
	APIPerHour int

	// NumericPolicy makes the API give access policies as numbers, as in 2025, and not as
	// words.
	NumericPolicy bool

	// Canonical makes the server redirect everybody to the same path at this address, as
	// www.physionet.org does.
	Canonical string
	// ExtraCookie is how many bytes of another cookie each answer sets, 0 for none.
	// CookieLimit is how many bytes of cookies a request may have before it is answered
	// with a 400; 0 is no limit.
	ExtraCookie, CookieLimit int

	// mu guards what Publish and the users' methods change. What the maps point to is never
	// changed, only replaced.
	mu       sync.RWMutex
	projects map[string]*published
	lastID   int
	users    map[string]*User // by lower-case name and by lower-case e-mail
	sessions map[string]session

	throttle throttle
	cookies  atomic.Int64 // that ExtraCookie has set
}

// New returns a server of these projects, without users.
func New(projects ...Project) *Server {
	s := &Server{
		Host:     newHost(),
		projects: make(map[string]*published),
		users:    make(map[string]*User),
		sessions: make(map[string]session),
	}
	for _, p := range projects {
		s.Publish(p)
	}
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Server"] = serverHeader
	s.serve(w, r, s)
}

// refuse answers with a status and PhysioNet's page for it.
func (s *Server) refuse(w *response, code int) {
	switch code {
	case http.StatusUnauthorized:
		s.challenge(w)
	case http.StatusForbidden:
		forbidden(w)
	default:
		nginxPage(w, code)
	}
}

// Move sets Canonical of a running server.
func (s *Server) Move(canonical string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Canonical = canonical
}

func (s *Server) canonical() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.Canonical
}

func (s *Server) route(w *response, r *http.Request) {
	if canonical := s.canonical(); canonical != "" {
		redirect(w, http.StatusMovedPermanently, canonical+r.URL.RequestURI())
		return
	}
	if s.CookieLimit > 0 && len(r.Header.Get("Cookie")) > s.CookieLimit {
		nginxPage(w, http.StatusBadRequest)
		return
	}
	if s.ExtraCookie > 0 {
		n := strconv.FormatInt(s.cookies.Add(1), 10)
		w.Header().Add("Set-Cookie", "extra"+n+"="+strings.Repeat("v", s.ExtraCookie)+"; Path=/")
	}
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
