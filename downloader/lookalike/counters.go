package lookalike

import (
	"maps"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
)

// Counters are the requests and answers of a server since it was made, or since
// [Host.Reset].
type Counters struct {
	Requests int64
	ByStatus map[int]int64 // by status, of the answers whose headers were written
	// Files and Manifests count the GETs of an existing file or SHA256SUMS.txt that had
	// access, whatever their range or validator.
	Files, Manifests int64
	Listings         int64 // directory listings
	API              int64 // requests below /api/
	PasswordChecks   int64 // real ones: sessions don't count
	BytesSent        int64 // of bodies, as written to the connection
	Faults           int64 // how often any fault struck
	MaxConcurrent    int64 // the most requests at once
	// Conns counts opened connections, and MaxConns the most that were open at once; only
	// if the hooks of [Host.Attach] are in use.
	Conns, MaxConns int64
	Protocols       map[string]int64
	UserAgents      map[string]int64 // at most the first 1,000
}

// Request is an entry of the log, which is kept if Record is set.
type Request struct {
	Method, Path, Query string
	Range, IfRange      string
	IfMatch             string
	IfNoneMatch         string
	Host                string
	UserAgent           string
	UserProject         string // the project to bill, for GCS
	Authorization       bool   // whether there was an Authorization header
	Cookie              bool   // whether there was a cookie
	Status              int    // 0 if no headers were written
	Bytes               int64  // of the body so far
}

// Counters returns the present counters.
func (h *Host) Counters() Counters {
	c := &h.counters
	out := Counters{
		Requests:       c.requests.Load(),
		ByStatus:       make(map[int]int64),
		Files:          c.files.Load(),
		Manifests:      c.manifests.Load(),
		Listings:       c.listings.Load(),
		API:            c.api.Load(),
		PasswordChecks: c.passwordChecks.Load(),
		BytesSent:      c.bytesSent.Load(),
		Faults:         h.faults.total.Load(),
		MaxConcurrent:  c.maxRunning.Load(),
		Conns:          h.conns.opened.Load(),
		MaxConns:       h.conns.maxOpen.Load(),
		Protocols:      c.protocols.counts(),
		UserAgents:     c.userAgents.counts(),
	}
	for code := range c.byStatus {
		if n := c.byStatus[code].Load(); n > 0 {
			out.ByStatus[code] = n
		}
	}
	return out
}

// Reset sets the counters to zero and empties the log of requests.
func (h *Host) Reset() {
	c := &h.counters
	for _, n := range []*atomic.Int64{
		&c.requests, &c.files, &c.manifests, &c.listings, &c.api, &c.passwordChecks, &c.bytesSent,
		&h.faults.total, &h.conns.opened,
	} {
		n.Store(0)
	}
	for code := range c.byStatus {
		c.byStatus[code].Store(0)
	}
	c.maxRunning.Store(c.running.Load())
	h.conns.maxOpen.Store(h.conns.open.Load())
	c.protocols.reset()
	c.userAgents.reset()
	c.logMu.Lock()
	defer c.logMu.Unlock()
	c.log = nil
}

// Requests returns the log, in the order in which the answers began. It is empty unless
// Record is set.
func (h *Host) Requests() []Request {
	c := &h.counters
	c.logMu.Lock()
	defer c.logMu.Unlock()
	out := make([]Request, len(c.log))
	for i, e := range c.log {
		out[i] = e.request
		out[i].Bytes = e.bytes.Load()
	}
	return out
}

// logged is an entry whose bytes are still being counted.
type logged struct {
	request Request
	bytes   atomic.Int64
}

type counters struct {
	requests, files, manifests, listings, api atomic.Int64
	passwordChecks, bytesSent                 atomic.Int64
	running, maxRunning                       atomic.Int64
	byStatus                                  [600]atomic.Int64
	protocols, userAgents                     tally

	logMu sync.Mutex
	log   []*logged
}

// arrive counts a request and returns how many are running.
func (c *counters) arrive(r *http.Request) int64 {
	c.requests.Add(1)
	c.protocols.add(r.Proto)
	c.userAgents.add(r.UserAgent())
	running := c.running.Add(1)
	raise(&c.maxRunning, running)
	return running
}

// answer counts an answer as its headers are written, before the client can see it.
func (c *counters) answer(w *response) {
	if w.status >= 0 && w.status < len(c.byStatus) {
		c.byStatus[w.status].Add(1)
	}
	if w.host.Record {
		c.record(w)
	}
}

// leave counts the end of a request.
func (c *counters) leave(w *response) {
	c.running.Add(-1)
	if w.host.Record && w.entry == nil {
		c.record(w)
	}
}

func (c *counters) record(w *response) {
	r := w.request
	w.entry = &logged{request: Request{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		Range: r.Header.Get("Range"), IfRange: r.Header.Get("If-Range"), IfMatch: r.Header.Get("If-Match"), IfNoneMatch: r.Header.Get("If-None-Match"),
		Host:          r.Host,
		UserAgent:     r.UserAgent(),
		UserProject:   userProject(r),
		Authorization: r.Header.Get("Authorization") != "",
		Cookie:        r.Header.Get("Cookie") != "",
		Status:        w.status,
	}}
	c.logMu.Lock()
	defer c.logMu.Unlock()
	c.log = append(c.log, w.entry)
}

// file counts a file that was found.
func (c *counters) file(r *http.Request, name string) {
	switch {
	case r.Method != http.MethodGet:
	case path.Base(name) == manifestName:
		c.manifests.Add(1)
	default:
		c.files.Add(1)
	}
}

// raise sets a maximum to n if it is lower.
func raise(top *atomic.Int64, n int64) {
	for old := top.Load(); n > old && !top.CompareAndSwap(old, n); old = top.Load() {
	}
}

// conns counts connections.
type conns struct {
	opened, open, maxOpen atomic.Int64
}

func (c *conns) change(state http.ConnState) {
	switch state {
	case http.StateNew:
		c.opened.Add(1)
		raise(&c.maxOpen, c.open.Add(1))
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

// tally counts by name, and costs a request no allocation.
type tally struct {
	mu sync.RWMutex
	m  map[string]*atomic.Int64
}

func (t *tally) add(name string) {
	t.mu.RLock()
	n := t.m[name]
	t.mu.RUnlock()
	if n == nil {
		n = t.enter(strings.Clone(name)) // not the buffer that it came in
	}
	n.Add(1)
}

func (t *tally) enter(name string) *atomic.Int64 {
	const most = 1000
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.m[name]; n != nil {
		return n
	}
	n := new(atomic.Int64)
	if t.m == nil {
		t.m = make(map[string]*atomic.Int64)
	}
	if len(t.m) < most {
		t.m[name] = n
	}
	return n
}

func (t *tally) counts() map[string]int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make(map[string]int64, len(t.m))
	for name, n := range maps.All(t.m) {
		out[name] = n.Load()
	}
	return out
}

func (t *tally) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.m)
}
