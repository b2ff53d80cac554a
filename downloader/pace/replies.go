package pace

import (
	"time"
)

// replies is what a Budget knows of answers before their bodies. Guarded by it.
type replies struct {
	bodies  int              // requests answered, with a body being received
	slowest [2]time.Duration // first byte since turned, and in the time before it
	turned  time.Time
	first   time.Duration // of a new connection, lately
	at      time.Time     // when that was
	silent  int           // requests in a row without an answer
	// repeated is how many in a row were to be repeated because their connection was
	// closed.
	repeated int
}

const (
	// leastReply is the least time to wait for the first byte of an answer, and replyTimes
	// how many times the slowest of the last minutes.
	leastReply = 5 * time.Second
	replyTimes = 4
	// unknownReply is that time for a host that has answered nobody yet.
	unknownReply = 15 * time.Second
	replyWindow  = time.Minute
)

// Asks returns how many other answers are awaited, and how long to wait for an answer that
// was given up so many times before.
func (b *Budget) Asks(idler Idler, before int) (beside int, limit time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if idler != nil {
		b.surplus.idler = idler
	}
	r := &b.replies
	r.turn(time.Now())
	limit = max(replyTimes*max(r.slowest[0], r.slowest[1]), leastReply)
	if r.at.IsZero() {
		before, limit = max(before, r.silent), unknownReply
	}
	return max(b.used-r.bodies-1, 0), limit << min(before, 6)
}

func (r *replies) turn(now time.Time) {
	switch since := now.Sub(r.turned); {
	case since > 2*replyWindow:
		r.slowest, r.turned = [2]time.Duration{}, now
	case since > replyWindow:
		r.slowest, r.turned = [2]time.Duration{0, r.slowest[0]}, now
	}
}

// Replied notes that an answer began: how long after its connection was requested, and
// after the request was sent.
func (b *Budget) Replied(now time.Time, begun, sent time.Duration, beside int, reused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.contact = now
	r := &b.replies
	r.turn(now)
	r.slowest[0] = max(r.slowest[0], begun)
	r.at, r.silent, r.repeated = now, 0, 0
	switch {
	case reused:
	case r.first == 0:
		r.first = begun
	default:
		r.first = (3*r.first + begun) / 4
	}
	b.manners.answered(now, sent, beside, b.limit)
	b.admit()
}

// MayRepeat reports whether a request may be repeated immediately after its connection was
// closed instead of answered: one may, until something is answered.
func (b *Budget) MayRepeat() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replies.repeated++
	return b.replies.repeated <= 1
}

// Unanswered notes that a request was not answered, and reports whether no other was since
// it began.
func (b *Budget) Unanswered(begun time.Time) (silent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replies.silent++
	return !b.replies.at.After(begun)
}

// Bodies counts answers whose body is being received.
func (b *Budget) Bodies(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replies.bodies += n
	b.admit()
}

// Idler keeps connections for later requests, as source.Idler does.
type Idler interface{ CloseIdleConnections() }

// surplus closes idle connections: a host that serves only so many may have others to
// serve. Guarded by its Budget.
type surplus struct {
	idler Idler
	open  int // about how many connections there are
	most  int // in use at once since timer was set
	timer *time.Timer
}

// surplusAfter is how long a connection is idle before it is closed. Opening another costs
// a few round trips.
const surplusAfter = 3 * time.Second

// note updates the count when a connection is taken or returned.
func (b *Budget) note() {
	s := &b.surplus
	s.open, s.most = max(s.open, b.used), max(s.most, b.used)
	if b.used < s.open && s.timer == nil && s.idler != nil {
		s.most = b.used
		s.timer = time.AfterFunc(surplusAfter, b.closeSurplus)
	}
}

// closeSurplus closes the idle connections if fewer would have been enough.
func (b *Budget) closeSurplus() {
	b.mu.Lock()
	s := &b.surplus
	idler, less := s.idler, s.most < s.open
	s.timer = nil
	if less {
		s.open = b.used
	}
	s.most = b.used
	b.note()
	b.mu.Unlock()
	if less {
		idler.CloseIdleConnections()
	}
}

// OutOfFiles closes idle connections, and takes one from the limit.
func (b *Budget) OutOfFiles() {
	b.mu.Lock()
	b.refuse(time.Now(), NoFile, 0)
	b.surplus.open = b.used
	idler := b.surplus.idler
	b.mu.Unlock()
	if idler != nil {
		idler.CloseIdleConnections()
	}
}
