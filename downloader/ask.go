package downloader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptrace"
	"sync"
	"time"

	"mimicsync/downloader/source"
)

// Open asks the source, as Source.Open does, for one who has acquired a
// connection of its budget. It lets the budget know what answers take, and gives
// up a connection on which no answer begins in many times what others take: a host
// may accept more connections than it serves. That is an *UnansweredError.
func (b Budgeted) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	return b.open(ctx, r, 0)
}

// open is Open, with twice as much time for an answer for each time that it was
// given up before: it may be one that takes long.
func (b Budgeted) open(ctx context.Context, r source.Request, unanswered int) (*source.Object, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &ask{b: b.Budget, cancel: cancel}
	a.beside, a.limit = b.Budget.asks(b.Source, unanswered)
	object, err := b.Source.Open(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { a.begin() },
		GotConn:              func(i httptrace.GotConnInfo) { a.connected(i.Reused) },
		WroteRequest:         func(i httptrace.WroteRequestInfo) { a.wrote(i.Err) },
		GotFirstResponseByte: a.answered,
	}), r)
	a.end()
	if err != nil {
		cause := context.Cause(ctx)
		cancel(nil)
		return nil, a.explain(err, cause)
	}
	b.Budget.bodies(1)
	object.Body = &answer{ReadCloser: object.Body, over: func() {
		b.Budget.bodies(-1)
		cancel(nil)
	}}
	return object, nil
}

// answer is a body on its way.
type answer struct {
	io.ReadCloser
	once sync.Once
	over func()
}

// Close ends the body, and with it the request.
func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	a.once.Do(a.over)
	return err
}

// UnansweredError means that a request was given up because no answer began.
type UnansweredError struct {
	After time.Duration
	// Reused says that an earlier request on the connection had been answered.
	Reused bool
	// Silent says that nobody was answered by the host in that time.
	Silent bool
}

// Error says how long nothing came.
func (e *UnansweredError) Error() string {
	on := "a new connection"
	if e.Reused {
		on = "an open connection"
	}
	return fmt.Sprintf("no answer began for %s on %s", e.After.Round(time.Second/10), on)
}

// Unwrap makes errors.Is(err, ErrStalled) true.
func (e *UnansweredError) Unwrap() error { return ErrStalled }

// ask is a request whose answer has not begun. One Open may make several, one
// after the other.
type ask struct {
	b      *Budget
	cancel context.CancelCauseFunc
	beside int           // others that were waited for when it began
	limit  time.Duration // for the first byte of its answer

	mu     sync.Mutex // guards what follows: net/http calls from goroutines of its own
	begun  time.Time  // when a connection was asked for
	sent   time.Time
	reused bool
	wholly bool // all of the request is sent
	timer  *time.Timer
}

func (a *ask) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if again := !a.begun.IsZero() && a.wholly; again && !a.b.mayRepeat() {
		a.cancel(errHungUp)
	}
	a.begun, a.sent, a.reused, a.wholly = time.Now(), time.Time{}, false, false
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timer = time.AfterFunc(a.limit, func() { a.cancel(errUnanswered) })
}

// errUnanswered is the cause of what explain makes an *UnansweredError of.
var errUnanswered = errors.New("no answer began")

// errHungUp ends a request that net/http would repeat by itself, as it does on another
// connection when one that was kept is closed in place of an answer. Where that befalls
// several at once it is no chance, and a host in trouble would get everything twice.
var errHungUp = errors.New("the server hung up without an answer, and so on other connections")

func (a *ask) connected(reused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reused = reused
}

func (a *ask) wrote(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent, a.wholly = time.Now(), err == nil
}

func (a *ask) answered() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
	if now := time.Now(); !a.begun.IsZero() {
		sent := a.sent
		if sent.IsZero() { // an answer that came before the request was out
			sent = now
		}
		a.b.replied(now, now.Sub(a.begun), now.Sub(sent), a.beside, a.reused)
		a.begun = time.Time{}
	}
}

func (a *ask) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
}

// explain says what an Open ended with whose cause is that nothing came.
func (a *ask) explain(err, cause error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(cause, errHungUp) {
		return cause
	}
	if a.begun.IsZero() || !errors.Is(cause, errUnanswered) && !errors.Is(cause, ErrStalled) {
		return err
	}
	return &UnansweredError{After: time.Since(a.begun), Reused: a.reused, Silent: a.b.unanswered(a.begun)}
}

// replies is what a Budget knows of answers before their bodies. Guarded by it.
type replies struct {
	bodies  int              // requests that are answered, with a body on its way
	slowest [2]time.Duration // first byte of the time since turned, and of that before it
	turned  time.Time
	first   time.Duration // that of a new connection, lately
	at      time.Time     // of the last
	silent  int           // requests in a row that were not answered
	// repeated is how many in a row were to be repeated as their connection was closed.
	repeated int
}

const (
	// leastReply is the least time that is left for the first byte of an answer,
	// and replyTimes how many times the slowest of the last minutes.
	leastReply = 5 * time.Second
	replyTimes = 4
	// unknownReply is that time for a host that has answered nobody yet.
	unknownReply = 15 * time.Second
	replyWindow  = time.Minute
)

// asks returns how many others are waited for, and how long to wait for an answer
// that was given up so many times before.
func (b *Budget) asks(src source.Source, before int) (beside int, limit time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if idler, ok := src.(source.Idler); ok {
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

// replied notes that an answer began: how long after its connection was asked
// for, and after the request was sent.
func (b *Budget) replied(now time.Time, begun, sent time.Duration, beside int, reused bool) {
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

// mayRepeat reports whether a request may be repeated at once whose connection was
// closed in place of an answer: one, until something is answered.
func (b *Budget) mayRepeat() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replies.repeated++
	return b.replies.repeated <= 1
}

// unanswered notes that a request was not answered, and reports whether no other
// was since it began.
func (b *Budget) unanswered(begun time.Time) (silent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replies.silent++
	return !b.replies.at.After(begun)
}

// bodies counts answers whose body is on its way.
func (b *Budget) bodies(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replies.bodies += n
	b.admit()
}

// surplus closes connections that lie idle: a host that serves only so many may
// have others to serve. Guarded by its Budget.
type surplus struct {
	idler source.Idler
	open  int // about how many connections there are
	most  int // in use at once since timer was set
	timer *time.Timer
}

// surplusAfter is how long a connection lies idle before it is closed. Another one
// costs a few round trips.
const surplusAfter = 3 * time.Second

// note keeps the count, where a connection was taken or given back.
func (b *Budget) note() {
	s := &b.surplus
	s.open, s.most = max(s.open, b.used), max(s.most, b.used)
	if b.used < s.open && s.timer == nil && s.idler != nil {
		s.most = b.used
		s.timer = time.AfterFunc(surplusAfter, b.closeSurplus)
	}
}

// closeSurplus closes the idle connections if all that is done could have been
// done with fewer.
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
