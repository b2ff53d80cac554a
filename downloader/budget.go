package downloader

import (
	"context"
	"sync"
	"time"
)

// Budget limits the connections to one host, over all passes of the process,
// and finds out how many of them help. It starts at 2, grows by one with every
// answer up to 8, doubles from there while that brings more, then tries one more
// from time to time; where a person named a number, it starts at that. It never
// grows while nobody waits for a connection.
//
// Each answer of "too busy" takes one connection away, so that those stay which
// the host has not refused. Where a single one is still too many, requests are
// spaced out in time.
//
// The ceiling is 8 for physionet.org, whose server is small and whose users
// saw connect time-outs at 24; see DESIGN 4.
type Budget struct {
	mu       sync.Mutex
	ceiling  int
	limit    int // connections allowed, 1 to ceiling
	used     int
	waiting  []chan struct{} // each closed when its turn comes; in order of arrival
	contact  time.Time       // the host last answered
	pace     pace
	refusals refusals
	health   health
	alarm    *time.Timer // set while only the time keeps somebody waiting

	growth growth // how the limit grows at present
	window struct {
		start    time.Time
		amount   float64 // bytes, and a little for each answer
		starved  bool    // somebody waited
		paced    bool    // for the pace, and not for a connection
		previous float64 // amount per second of the window before the limit last changed
		probing  bool    // the limit went up by one at the start of this window
	}
	probeAt   time.Time     // not before then is one more tried
	probeWait time.Duration // grows while trying one more brings nothing
}

// refusals is what a Budget remembers of answers of "too busy".
type refusals struct {
	inRow    int           // since the last good answer
	open     int           // connections when the row began: each of them may hear it once
	resume   time.Time     // nobody starts before: the host asked for a pause
	wall     int           // the limit that was too much, 0 if none was yet
	wallTill time.Time     // before then, the wall is not tried again
	patience time.Duration // how long that was, last time
}

// growth is the way in which a limit grows.
type growth int

const (
	byAnswer growth = iota // one more with each answer
	doubling
	probing
)

const (
	startConnections  = 2
	modestConnections = 8                      // as many as one person may well open to any host
	rampWindow        = 250 * time.Millisecond // while doubling: some round trips
	steadyWindow      = 2 * time.Second        // while trying one more
	wallPatience      = 15 * time.Second       // before the limit that was too much is tried again, the first time
	maxWallPatience   = 5 * time.Minute
	maxProbeWait      = time.Minute // between tries of one more that brought nothing
	worthwhile        = 0.5         // of its share is what one more must bring to be kept
	answerWeight      = 16 << 10    // what an answer counts beside its bytes: small files are about answers
	repeatedBusy      = 3           // refusals beyond those of one burst after which the whole host pauses
)

// NewBudget returns a budget that starts at 2 connections and never has more
// than ceiling, at least 1.
func NewBudget(ceiling int) *Budget {
	ceiling = max(ceiling, 1)
	b := &Budget{ceiling: ceiling, limit: min(startConnections, ceiling), contact: time.Now()}
	b.window.start = b.contact
	b.pace.since = b.contact
	return b
}

// NewBudgetAt returns a budget that starts at its ceiling: somebody who knows
// the host has named the number.
func NewBudgetAt(ceiling int) *Budget {
	b := NewBudget(ceiling)
	b.limit, b.growth = b.ceiling, probing
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
	if len(b.waiting) == 0 && b.free() {
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

// Answer is what a host said to a request, as far as it concerns a Budget.
type Answer int

// What a host may say.
const (
	NoAnswer Answer = iota // or none that says anything about the host
	Good
	Busy    // it has too much to do, or too many connections: 503
	TooFast // too many requests in a time: 429
	Closed  // it did not take, or did not keep, the connection: too many of them look like this
)

// Release gives back a connection, and says how it went and for how long the
// host wants to be left alone by this request.
func (b *Budget) Release(a Answer, retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used--
	now := time.Now()
	if a != NoAnswer && a != Closed {
		b.contact = now
	}
	switch a {
	case Good:
		b.refusals.inRow = 0
		b.pace.answered(now)
		b.count(now, answerWeight)
		b.grow(now)
	case Busy, TooFast, Closed:
		b.refuse(now, a, retryAfter)
	case NoAnswer:
	}
	b.admit()
}

// grow adds a connection for an answer, at first.
func (b *Budget) grow(now time.Time) {
	if b.growth != byAnswer || len(b.waiting) == 0 {
		return
	}
	if b.limit >= modestConnections {
		b.growth = doubling
		b.setLimit(now, b.limit)
		return
	}
	b.limit = min(b.limit+1, b.ceiling)
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

// refuse takes the connection away that was refused. One that was the last is
// kept, and spaced out, as is where the host counts requests.
func (b *Budget) refuse(now time.Time, a Answer, retryAfter time.Duration) {
	r := &b.refusals
	if r.inRow == 0 {
		r.open = b.used
	}
	r.inRow++
	if r.inRow >= r.open+repeatedBusy && retryAfter > 0 {
		r.resume = now.Add(retryAfter)
	}
	b.growth = probing
	if a == TooFast || b.limit == 1 {
		b.pace.slower(now)
		return
	}
	if b.limit != r.wall {
		r.patience = 0
	}
	r.patience = min(max(2*r.patience, wallPatience), maxWallPatience)
	r.wall, r.wallTill = b.limit, now.Add(r.patience)
	b.setLimit(now, b.limit-1)
}

// count adds to the window and, at its end, decides about the limit.
func (b *Budget) count(now time.Time, amount float64) {
	w := &b.window
	w.amount += amount
	length := steadyWindow
	if b.growth == doubling {
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
	case b.growth == byAnswer: // few answers yet: the files are big
		b.setLimit(now, b.limit)
		b.grow(now)
	case b.growth == doubling && rate >= 1.1*w.previous:
		w.previous = rate
		b.setLimit(now, b.limit*2)
	case b.growth == doubling: // the last doubling brought nothing: one at a time from before it
		b.growth = probing
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

// probe tries one connection more, unless that is known to be too much, or it is
// the pace that keeps requests waiting.
func (b *Budget) probe(now time.Time) {
	if now.Before(b.probeAt) || b.window.paced || b.refusals.wall > 0 && b.limit+1 >= b.refusals.wall && now.Before(b.refusals.wallTill) {
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
	w := &b.window
	w.start, w.amount, w.starved, w.paced, w.probing = now, 0, false, false, false
}

// admit lets those in that there is room for.
func (b *Budget) admit() {
	for len(b.waiting) > 0 && b.free() {
		close(b.waiting[0])
		b.waiting = b.waiting[1:]
		b.used++
	}
}

// free reports whether a request may start. If it is only too early for it, the
// time is set when those who wait are let in.
func (b *Budget) free() bool {
	if b.used >= b.limit {
		return false
	}
	now := time.Now()
	due := b.refusals.resume
	if b.pace.due.After(due) {
		due = b.pace.due
	}
	if due.After(now) {
		b.window.paced = b.window.paced || b.pace.on()
		if b.alarm == nil {
			b.alarm = time.AfterFunc(due.Sub(now), b.wake)
		}
		return false
	}
	b.pace.start(now)
	return true
}

// wake lets in those for whom it was too early.
func (b *Budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alarm = nil
	b.admit()
}
