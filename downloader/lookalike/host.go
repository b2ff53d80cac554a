package lookalike

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Host is what the servers of this package have in common: faults, limits, counters and the
// log. Its exported fields may be set before the first request.
type Host struct {
	// Now is the clock for everything except the pace of bodies; [time.Now] if nil.
	Now func() time.Time
	// Record keeps a log of every request for [Host.Requests]. It grows without bound.
	Record bool

	// BytesPerSecondPerConn caps the bodies on each connection; 0 is no cap. PhysioNet gives about 45,000. Where [Host.Attach]
	// or [Host.ConnContext] is not in use, it caps each response instead.
	BytesPerSecondPerConn int64
	// MaxConcurrent is how many requests are served at once; 0 is no limit. Further ones
	// get a 503, or no answer for HangOver.
	MaxConcurrent int
	// HangOver makes requests above MaxConcurrent wait this long without an answer, before
	// their connection is dropped.
	HangOver time.Duration
	// RequestsPerSecond is how many requests per second are answered, in bursts of as many;
	// 0 is no limit. Further ones get a 429 with Retry-After.
	RequestsPerSecond int

	// ServedConns is how many connections are served; 0 is no limit. Further ones are
	// accepted, and their requests are never answered, even if others are closed meanwhile.
	// It needs [Host.Attach], or its hooks.
	ServedConns int
	// ConnLinger is how long a closed connection still counts, as if a load balancer
	// drained it.
	ConnLinger time.Duration
	// Workers is how many requests are handled at once, each for WorkTime before its
	// answer; 0 is no limit. Others queue, as behind uwsgi.
	Workers  int
	WorkTime time.Duration

	faults   faults
	counters counters
	bucket   bucket
	conns    conns
	seats    seats
	workers  workers

	closeOnce sync.Once
	closed    chan struct{}
}

func newHost() Host { return Host{closed: make(chan struct{})} }

// site handles the requests that its Host allows.
type site interface {
	// route answers a request.
	route(w *response, r *http.Request)
	// refuse answers with a status, in the way of the server.
	refuse(w *response, code int)
	// DropSessions makes the server forget who its clients are.
	DropSessions()
}

// serve answers a request, or lets the site do so.
func (h *Host) serve(rw http.ResponseWriter, r *http.Request, s site) {
	w := &response{ResponseWriter: rw, host: h, request: r}
	running := h.counters.arrive(r)
	defer h.counters.leave(w) // by defer: a fault may end the request by a panic
	if !h.admit(w, r, running, s) || !h.workers.work(r.Context(), h) {
		return
	}
	if f := h.faults.claim(onArrival, r, span{}); f != nil && h.strikeOnArrival(w, r, f, s) {
		return
	}
	s.route(w, r)
}

// Close ends every stall and delay that is in progress, so that closing the surrounding server does not wait for them.
// Requests are still answered afterwards.
func (h *Host) Close() {
	h.closeOnce.Do(func() { close(h.closed) })
}

func (h *Host) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}

// pause waits for d, or forever if d is 0, and reports whether that time has passed: it
// ends early if the client disconnects or the server is closed.
func (h *Host) pause(ctx context.Context, d time.Duration) bool {
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
	case <-h.closed:
	}
	return false
}

// response counts what goes through it.
type response struct {
	http.ResponseWriter
	host    *Host
	request *http.Request
	status  int    // 0 until the headers are written
	reason  string // of the fault that struck
	entry   *logged
}

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
		w.host.counters.answer(w)
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
	w.host.counters.bytesSent.Add(int64(n))
	if w.entry != nil {
		w.entry.bytes.Add(int64(n))
	}
}

func (w *response) flush() {
	// An error means that the connection is gone, which the next write reports.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}
