package lookalike

import (
	"context"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Attach makes an http.Server report its connections, for the counters and for BytesPerSecondPerConn. It is for a server whose
// hooks are not in use.
func (h *Host) Attach(hs *http.Server) {
	hs.ConnState = h.ConnState
	hs.ConnContext = h.ConnContext
}

// ConnState counts connections; it is a hook of http.Server.
func (h *Host) ConnState(c net.Conn, state http.ConnState) {
	h.conns.change(state)
	if h.ServedConns > 0 && (state == http.StateClosed || state == http.StateHijacked) {
		h.seats.leave(h)
	}
}

// unservedKey is what ConnContext marks a connection with that is one too many.
type unservedKey struct{}

// seats are those of the connections that are served. Only the time of ConnLinger is kept of one that is closed.
type seats struct {
	mu    sync.Mutex
	taken int
}

// take reports whether a new connection is one of those that are served. It is counted in any case.
func (s *seats) take(h *Host) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	return s.taken <= h.ServedConns
}

func (s *seats) leave(h *Host) {
	free := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taken--
	}
	if h.ConnLinger <= 0 {
		free()
		return
	}
	time.AfterFunc(h.ConnLinger, free)
}

// workers are those of Host.Workers.
type workers struct {
	once sync.Once
	free chan struct{} // in order of arrival
}

// work occupies a worker for the time of a request, and reports whether the client has waited for that.
func (w *workers) work(ctx context.Context, h *Host) bool {
	if h.Workers <= 0 {
		return true
	}
	w.once.Do(func() { w.free = make(chan struct{}, h.Workers) })
	select {
	case w.free <- struct{}{}:
	case <-ctx.Done():
		return false
	case <-h.closed:
		return false
	}
	defer func() { <-w.free }()
	return h.pause(ctx, h.WorkTime)
}

// paceKey is where ConnContext leaves a connection's *pace.
type paceKey struct{}

// ConnContext makes BytesPerSecondPerConn hold for the connection as a whole, and counts for ServedConns; it is a hook of
// http.Server.
func (h *Host) ConnContext(ctx context.Context, _ net.Conn) context.Context {
	if h.ServedConns > 0 && !h.seats.take(h) {
		ctx = context.WithValue(ctx, unservedKey{}, true)
	}
	if h.BytesPerSecondPerConn <= 0 {
		return ctx
	}
	return context.WithValue(ctx, paceKey{}, newPace(h.BytesPerSecondPerConn))
}

// connPace returns the limit that the request's body is under, or nil.
func (h *Host) connPace(r *http.Request) *pace {
	if h.BytesPerSecondPerConn <= 0 {
		return nil
	}
	if p, ok := r.Context().Value(paceKey{}).(*pace); ok {
		return p
	}
	return newPace(h.BytesPerSecondPerConn)
}

// admit applies the limits on requests, and reports whether the request may go on. running is how many there are, with this one.
func (h *Host) admit(w *response, r *http.Request, running int64, s site) bool {
	if r.Context().Value(unservedKey{}) != nil {
		h.pause(r.Context(), 0)
		panic(http.ErrAbortHandler)
	}
	if h.MaxConcurrent > 0 && running > int64(h.MaxConcurrent) {
		if h.HangOver <= 0 {
			s.refuse(w, http.StatusServiceUnavailable)
			return false
		}
		h.pause(r.Context(), h.HangOver)
		panic(http.ErrAbortHandler)
	}
	if h.RequestsPerSecond > 0 {
		if wait := h.bucket.take(h.now(), h.RequestsPerSecond); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			s.refuse(w, http.StatusTooManyRequests)
			return false
		}
	}
	return true
}

// pace spreads bytes over time. A nil pace is no limit.
type pace struct {
	rate int64

	mu   sync.Mutex
	free time.Time // when all that was reserved will have been sent
}

func newPace(rate int64) *pace { return &pace{rate: max(1, rate)} }

// step is how much to send at once: the bytes of a twentieth of a second.
func (p *pace) step() int64 {
	if p == nil {
		return math.MaxInt64
	}
	return max(1, p.rate/20)
}

// reserve books n bytes and returns how long to wait before they are sent.
func (p *pace) reserve(n int64) time.Duration {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return p.free.Sub(now)
}

// bucket limits the rate of requests.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	last   time.Time
}

// take returns 0 if a request may pass, or else how long until one may.
func (b *bucket) take(now time.Time, perSecond int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	rate := float64(perSecond)
	if b.last.IsZero() {
		b.tokens = rate
	} else {
		b.tokens = min(rate, b.tokens+now.Sub(b.last).Seconds()*rate)
	}
	b.last = now
	if b.tokens >= 1 {
		b.tokens--
		return 0
	}
	return time.Duration((1 - b.tokens) / rate * float64(time.Second))
}
