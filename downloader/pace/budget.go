// Package pace decides how many connections one host gets, when a request may start
// and how fast bytes flow, for all passes of the process together: the Budget of a
// host learns the first two from what the host answers, Bandwidth limits the last by a
// Timetable. It knows no source and makes no request.
package pace

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Budget limits the connections to one host, over all passes of the process,
// and finds out how many of them help. It starts at 2, grows by one with every
// answer that brought bytes up to 8, doubles from there while that brings more,
// then tries more from time to time, see growth.go; where a person named a number,
// it starts at that. It never grows while nobody waits for a connection.
//
// Each answer of "too busy" takes one connection away, and so does each connection
// that the host leaves without an answer, so that those stay which the host has
// not refused: halving would leave a sixth of what a server gives that refuses past
// 12. Where a single one is still too many, requests are spaced out in time.
//
// Of those that may be open, fewer wait for an answer at once where answers take
// longer the more are waited for, see manners.go.
//
// The ceiling is 8 for physionet.org, whose server is small and whose users
// saw connect time-outs at 24.
type Budget struct {
	mu       sync.Mutex
	ceiling  int
	limit    int // connections allowed, 1 to ceiling
	used     int
	waiting  []chan struct{} // each closed when its turn comes; in order of arrival
	contact  time.Time       // the host last answered
	pace     pace
	manners  manners
	replies  replies
	surplus  surplus
	refusals refusals
	alarm    *time.Timer // set while only the time keeps somebody waiting

	growth    growth // how the limit grows at present
	window    window
	probeAt   time.Time     // not before then are more tried
	probeWait time.Duration // grows while trying more brings nothing
	probeStep int           // how many more are tried at a time: grows while that brings more
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

const (
	startConnections  = 2
	modestConnections = 8                // as many as one person may well open to any host
	wallPatience      = 15 * time.Second // before the limit that was too much is tried again, the first time
	maxWallPatience   = 5 * time.Minute
	// RepeatedBusy is how many refusals, beyond those of one burst, pause the whole host.
	RepeatedBusy = 3
	repeatedSick = 3 // errors of the host in a row that are taken for too many connections
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
	b.note()
	b.admit()
}

// Answer is what a host said to a request, as far as it concerns a Budget.
type Answer int

// What a host may say.
const (
	NoAnswer Answer = iota // or none that says anything about the host
	Good                   // it brought bytes
	Bare                   // it brought none, as 304, 404 and a refusal of access do: no reason for more connections, nor for fewer
	Sick                   // something went wrong at the host: 500, 502, 504
	Busy                   // it has too much to do, or too many connections: 503
	TooFast                // too many requests in a time: 429
	Closed                 // it did not take, did not keep or did not answer the connection: too many of them look like this
	NoFile                 // this machine has no open file left for another connection
)

// Paused says why a request to the host would have to wait at this moment, and
// until when if that is known. The reason is empty where one may start.
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

// Release gives back a connection, and says how it went and for how long the
// host wants to be left alone by this request.
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

// Contact returns when the host last answered anybody.
func (b *Budget) Contact() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.contact
}

// sicken judges an error of the host. One among good answers is about the file;
// where nothing else comes, it may be about the number of connections.
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

// refuse takes the connection away that was refused. One that was the last is
// kept, and spaced out, as is where the host counts requests.
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
	case b.limit == 1: // it is no matter of how fast requests come
		return
	}
	if b.limit != r.wall {
		r.patience = 0
	}
	r.patience = min(max(2*r.patience, wallPatience), maxWallPatience)
	r.wall, r.wallTill = b.limit, now.Add(r.patience)
	b.setLimit(now, b.limit-1)
}

// admit lets those in that there is room for.
func (b *Budget) admit() {
	for len(b.waiting) > 0 && b.free() {
		close(b.waiting[0])
		b.waiting = b.waiting[1:]
		b.used++
		b.note()
	}
}

// free reports whether a request may start. If it is only too early for it, the
// time is set when those who wait are let in.
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

// wake lets in those for whom it was too early.
func (b *Budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.alarm = nil
	b.admit()
}
