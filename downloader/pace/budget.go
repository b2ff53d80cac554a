// Package pace decides how many connections one host gets, when a request may start and how
// fast bytes flow, for all passes of the process together: the Budget of a host learns the
// first two from the host's answers, Bandwidth limits the last by a Timetable. It knows no
// source and makes no request.
package pace

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Budget limits the connections to one host, over all passes of the process, and finds out
// how many of them help. It starts at 2, grows by one with every answer that brought bytes
// up to 8, doubles from there while that brings more, then tries more from time to time,
// see growth.go; if a person set a number, it starts at that number. It never grows while
// nobody waits for a connection.
//
// Each answer of "too busy" takes one connection away, and so does each connection that the
// host leaves unanswered, so that the connections stay which the host has accepted: halving
// would leave a sixth of what a server serves that refuses past 12. If even one is too
// many, requests are spaced out in time.
//
// If answers take longer the more of them are awaited, fewer are awaited at once, see
// manners.go.
//
// The ceiling is 8 for physionet.org, whose server is small and whose users saw connect
// time-outs at 24.
type Budget struct {
	mu       sync.Mutex
	ceiling  int
	limit    int // connections allowed, 1 to ceiling
	used     int
	waiting  []chan struct{} // closed one by one, in order of arrival
	contact  time.Time       // when the host last answered
	pace     pace
	manners  manners
	replies  replies
	surplus  surplus
	refusals refusals
	alarm    *time.Timer // set while only the time keeps someone waiting

	growth    growth // how the limit grows at present
	window    window
	probeAt   time.Time     // no more are tried before
	probeWait time.Duration // grows while trying more brings nothing
	probeStep int           // how many more are tried at a time; grows while that brings more
}

// refusals is what a Budget remembers of "too busy" answers.
type refusals struct {
	inRow    int           // since the last good answer
	open     int           // connections when the row began: each of them may hear it once
	resume   time.Time     // nobody starts before: the host asked for a pause
	wall     int           // the limit that was too much, 0 if none was yet
	wallTill time.Time     // the wall is not tried again before
	patience time.Duration // how long that was, last time
}

const (
	startConnections  = 2
	modestConnections = 8                // as many as one person may reasonably open to any host
	wallPatience      = 15 * time.Second // before the limit that was too much is tried again, the first time
	maxWallPatience   = 5 * time.Minute
	// RepeatedBusy is how many refusals, beyond those of one burst, pause the whole host.
	RepeatedBusy = 3
	repeatedSick = 3 // errors of the host in a row that are taken for too many connections
)

// NewBudget returns a budget that starts at 2 connections and never exceeds ceiling, at
// least 1.
func NewBudget(ceiling int) *Budget {
	ceiling = max(ceiling, 1)
	b := &Budget{ceiling: ceiling, limit: min(startConnections, ceiling), contact: time.Now()}
	b.window.start = b.contact
	b.pace.since = b.contact
	return b
}

// NewBudgetAt returns a budget that starts at its ceiling, because a person who knows the
// host set it.
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

// Acquire waits for a connection. Release returns it.
func (b *Budget) Acquire(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b.mu.Lock()
	if len(b.waiting) == 0 && b.free() {
		b.used++
		b.note()
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

// leave removes a waiter from the queue, or returns the connection that it got in the
// meantime.
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
	b.note()
	b.admit()
}

// Answer is what a host's answer says to a Budget.
type Answer int

// The answers of a host.
const (
	NoAnswer Answer = iota // none, or none that says anything about the host
	Good                   // it brought bytes
	Bare                   // it brought none, as 304, 404 and denied access do: no reason for more connections, nor for fewer
	Sick                   // something went wrong at the host: 500, 502, 504
	Busy                   // too much to do, or too many connections: 503
	TooFast                // too many requests per time: 429
	Closed                 // the host didn't accept, keep or answer the connection, as if there were too many
	NoFile                 // this process can't open another file for a connection
)

// Paused says why a request to the host would have to wait now, and until when if known.
// The reason is empty if one may start.
func (b *Budget) Paused() (until time.Time, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.refusals.resume.After(time.Now()):
		return b.refusals.resume, fmt.Sprintf("it refused %d requests in a row and asked for a pause", b.refusals.inRow)
	case len(b.waiting) > 0 && b.used >= b.limit:
		return time.Time{}, "other passes have all the connections that it allows"
	}
	return time.Time{}, ""
}

// Release returns a connection, with how it went and how long the host wants to be left
// alone by this request.
func (b *Budget) Release(a Answer, retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used--
	b.note()
	now := time.Now()
	if a != NoAnswer && a != Closed && a != NoFile {
		b.contact = now
	}
	switch a {
	case Good:
		b.refusals.inRow = 0
		b.pace.answered(now)
		b.window.answers++
		b.count(now, 0)
		b.grow(now)
	case Bare:
		b.refusals.inRow = 0
		b.pace.answered(now)
	case Sick:
		b.sicken(now, retryAfter)
	case Busy, TooFast, Closed, NoFile:
		b.refuse(now, a, retryAfter)
	case NoAnswer:
	}
	b.admit()
}

// Progress counts bytes that arrived on a connection.
func (b *Budget) Progress(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.contact = now
	b.count(now, n)
	b.admit()
}

// Contact returns when the host last answered anyone.
func (b *Budget) Contact() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.contact
}

// sicken judges an error of the host. One among good answers is due to the file; if nothing
// else arrives, it may be due to the number of connections.
func (b *Budget) sicken(now time.Time, retryAfter time.Duration) {
	if b.growth == byAnswer {
		b.growth = probing
	}
	b.refusals.inRow++
	if b.refusals.inRow <= repeatedSick && retryAfter == 0 {
		return
	}
	b.refusals.inRow-- // refuse counts it
	b.refuse(now, Sick, retryAfter)
}

// refuse takes away the connection that was refused. The last one is kept, and requests are
// spaced out, as for a host that counts requests.
func (b *Budget) refuse(now time.Time, a Answer, retryAfter time.Duration) {
	r := &b.refusals
	if r.inRow == 0 {
		r.open = b.used
	}
	r.inRow++
	if r.inRow >= r.open+RepeatedBusy && retryAfter > 0 {
		r.resume = now.Add(retryAfter)
	}
	b.growth, b.probeStep = probing, 0
	switch {
	case a == TooFast, a == Busy && b.limit == 1:
		b.pace.slower(now)
		return
	case b.limit == 1: // then it is not about how fast requests come
		return
	}
	if b.limit != r.wall {
		r.patience = 0
	}
	r.patience = min(max(2*r.patience, wallPatience), maxWallPatience)
	r.wall, r.wallTill = b.limit, now.Add(r.patience)
	b.setLimit(now, b.limit-1)
}

// admit lets waiters in while there is room.
func (b *Budget) admit() {
	for len(b.waiting) > 0 && b.free() {
		close(b.waiting[0])
		b.waiting = b.waiting[1:]
		b.used++
		b.note()
	}
}

// free reports whether a request may start. If it is only too early, it sets when waiters
// are let in.
func (b *Budget) free() bool {
	if b.used >= b.limit {
		return false
	}
	now := time.Now()
	if !b.manners.permit(b.used - b.replies.bodies) {
		b.window.held = true
		return false
	}
	due := b.refusals.resume
	if b.pace.due.After(due) {
		due = b.pace.due
	}
	if due.After(now) {
		b.window.held = b.window.held || b.pace.on()
		if b.alarm == nil {
			b.alarm = time.AfterFunc(due.Sub(now), b.wake)
		}
		return false
	}
	b.pace.start(now)
	return true
}

// wake lets in those who were too early.
func (b *Budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alarm = nil
	b.admit()
}
