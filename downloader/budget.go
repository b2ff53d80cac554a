package downloader

import (
	"context"
	"sync"
	"time"
)

// Budget limits the connections to one host, over all passes of the process,
// and finds out how many of them help. It starts at 2, doubles while that
// brings more, then tries one more from time to time; it halves when the host
// says that it is too much. It never grows while nobody waits for a connection.
//
// The ceiling is 8 for physionet.org, whose server is small and whose users
// saw connect time-outs at 24; see DESIGN 4.
type Budget struct {
	mu       sync.Mutex
	ceiling  int
	limit    int // connections allowed, 1 to ceiling
	used     int
	waiting  []chan struct{} // each closed when its turn comes; in order of arrival
	resume   time.Time       // nobody starts before: the host asked for a pause
	contact  time.Time       // the host last answered
	rejected int             // answers of "too busy" since the last good one

	slowStart bool
	wall      int       // the limit that was too much, 0 if none was yet
	halved    time.Time // when

	window struct {
		start    time.Time
		amount   float64 // bytes, and a little for each answer
		starved  bool    // somebody waited
		previous float64 // amount per second of the window before the limit last changed
		probing  bool    // the limit went up by one at the start of this window
	}
	probeAt   time.Time     // not before then is one more tried
	probeWait time.Duration // grows while trying one more brings nothing
}

const (
	startConnections = 2
	rampWindow       = 100 * time.Millisecond // while doubling
	steadyWindow     = 2 * time.Second        // while trying one more
	wallPatience     = time.Minute            // before the limit that was too much is tried again
	maxProbeWait     = time.Minute            // between tries of one more that brought nothing
	worthwhile       = 0.5                    // of its share is what one more must bring to be kept
	answerWeight     = 16 << 10               // what an answer counts beside its bytes: small files are about answers
	repeatedBusy     = 3                      // busy answers in a row after which the whole host pauses
)

// NewBudget returns a budget of at most ceiling connections, at least 1.
func NewBudget(ceiling int) *Budget {
	ceiling = max(ceiling, 1)
	b := &Budget{ceiling: ceiling, limit: min(startConnections, ceiling), slowStart: true, contact: time.Now()}
	b.window.start = time.Now()
	return b
}

// Connections returns how many are open and how many may be.
func (b *Budget) Connections() (used, limit, ceiling int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.limit, b.ceiling
}

// Acquire waits for a connection. Release gives it back.
func (b *Budget) Acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.mu.Lock()
	if b.used < b.limit && len(b.waiting) == 0 && !time.Now().Before(b.resume) {
		b.used++
		b.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	b.waiting = append(b.waiting, turn)
	b.window.starved = true
	b.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		b.leave(turn)
		return context.Cause(ctx)
	}
}

// leave takes a waiter out of the queue, or gives back the connection that it
// was handed meanwhile.
func (b *Budget) leave(turn chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == turn {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return
		}
	}
	b.used--
	b.admit()
}

// Release gives back a connection and says how it went: busy when the host
// had too much to do, answered when it answered at all.
func (b *Budget) Release(answered, busy bool, retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used--
	now := time.Now()
	if answered {
		b.contact = now
	}
	switch {
	case busy:
		b.reject(now, retryAfter)
	case answered:
		b.rejected = 0
		b.count(now, answerWeight)
	}
	b.admit()
}

// Progress counts bytes that arrived on a connection.
func (b *Budget) Progress(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.contact = now
	b.count(now, float64(n))
	b.admit()
}

// Contact returns when the host last answered anybody.
func (b *Budget) Contact() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.contact
}

// reject halves the limit, at most once a second: the connections that were
// open when it was too much all say so.
func (b *Budget) reject(now time.Time, retryAfter time.Duration) {
	b.rejected++
	if b.rejected >= repeatedBusy && retryAfter > 0 {
		b.resume = now.Add(retryAfter)
		time.AfterFunc(retryAfter, b.wake)
	}
	if now.Sub(b.halved) < time.Second {
		return
	}
	b.halved, b.wall, b.slowStart = now, b.limit, false
	b.setLimit(now, max(b.limit/2, 1))
}

// count adds to the window and, at its end, decides about the limit.
func (b *Budget) count(now time.Time, amount float64) {
	w := &b.window
	w.amount += amount
	length := steadyWindow
	if b.slowStart {
		length = rampWindow
	}
	elapsed := now.Sub(w.start)
	if elapsed < length {
		return
	}
	rate := w.amount / elapsed.Seconds()
	switch {
	case !w.starved && len(b.waiting) == 0: // the queue is short: more connections would idle
		b.setLimit(now, b.limit)
		w.previous = rate
	case b.slowStart && rate >= 1.1*w.previous:
		w.previous = rate
		b.setLimit(now, b.limit*2)
	case b.slowStart: // the last doubling brought nothing: one at a time from before it
		b.slowStart = false
		b.setLimit(now, b.limit/2)
	case w.probing && rate < w.previous*(1+worthwhile/float64(b.limit)):
		b.probeWait = min(max(2*b.probeWait, steadyWindow), maxProbeWait)
		b.probeAt = now.Add(b.probeWait)
		b.setLimit(now, b.limit-1)
	case w.probing:
		w.previous, b.probeWait = rate, 0
		b.probe(now)
	default:
		w.previous = rate
		b.probe(now)
	}
}

// probe tries one connection more, unless that is known to be too much.
func (b *Budget) probe(now time.Time) {
	if now.Before(b.probeAt) || b.wall > 0 && b.limit+1 >= b.wall && now.Sub(b.halved) < wallPatience {
		b.setLimit(now, b.limit)
		return
	}
	before := b.limit
	b.setLimit(now, b.limit+1)
	b.window.probing = b.limit > before
}

// setLimit sets the limit and starts a new window.
func (b *Budget) setLimit(now time.Time, limit int) {
	b.limit = min(max(limit, 1), b.ceiling)
	b.window.start, b.window.amount, b.window.starved, b.window.probing = now, 0, false, false
}

// wake ends a pause.
func (b *Budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admit()
}

// admit lets those in that there is room for, unless the host asked for a pause.
func (b *Budget) admit() {
	if time.Now().Before(b.resume) {
		return
	}
	for b.used < b.limit && len(b.waiting) > 0 {
		close(b.waiting[0])
		b.waiting = b.waiting[1:]
		b.used++
	}
}
