package host

import (
	"context"
	"errors"
	"io"
	"net/http/httptrace"
	"sync"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source"
)

// Open is Source.Open for a caller who holds a connection of the source's budget. It tells
// the budget how long answers take, and closes a connection on which no answer begins in
// many times the usual time, because a host may accept more connections than it serves. The
// error is then an *failure.UnansweredError.
func (b Source) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	return b.OpenAgain(ctx, r, 0)
}

// OpenAgain is Open with twice as much time for an answer for each time that the entry was
// given up before: it may be one that takes long.
func (b Source) OpenAgain(ctx context.Context, r source.Request, unanswered int) (*source.Object, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &ask{b: b.Budget, cancel: cancel}
	idler, _ := b.Source.(source.Idler)
	a.beside, a.limit = b.Budget.Asks(idler, unanswered)
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
	b.Budget.Bodies(1)
	object.Body = &answer{ReadCloser: object.Body, over: func() {
		b.Budget.Bodies(-1)
		cancel(nil)
	}}
	return object, nil
}

// answer is a body being received.
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

// ask is a request whose answer has not begun. One Open may make several, one after the
// other.
type ask struct {
	b      *pace.Budget
	cancel context.CancelCauseFunc
	beside int           // others that were waiting when it began
	limit  time.Duration // for the first byte of its answer

	mu     sync.Mutex // guards the fields below: net/http calls from its own goroutines
	begun  time.Time  // when it asked for a connection
	sent   time.Time
	reused bool
	wholly bool // the whole request is sent
	timer  *time.Timer
}

func (a *ask) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if again := !a.begun.IsZero() && a.wholly; again && !a.b.MayRepeat() {
		a.cancel(errHungUp)
	}
	a.begun, a.sent, a.reused, a.wholly = time.Now(), time.Time{}, false, false
	if a.timer != nil {
		a.timer.Stop()
	}
	a.timer = time.AfterFunc(a.limit, func() { a.cancel(errUnanswered) })
}

// errUnanswered is the cause that explain turns into an *failure.UnansweredError.
var errUnanswered = errors.New("no answer began")

// errHungUp ends a request that net/http would repeat by itself, as it does on another
// connection when a kept one is closed instead of answered. If that happens to several at
// once it is no coincidence, and a failing host would get every request twice.
var errHungUp = errors.New("the server closed the connection without an answer, on other connections, too")

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
		if sent.IsZero() { // the answer came before the request was sent
			sent = now
		}
		a.b.Replied(now, now.Sub(a.begun), now.Sub(sent), a.beside, a.reused)
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

// explain returns the error of an Open that ended because nothing arrived.
func (a *ask) explain(err, cause error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if errors.Is(cause, errHungUp) {
		return cause
	}
	if a.begun.IsZero() || !errors.Is(cause, errUnanswered) && !errors.Is(cause, failure.ErrStalled) {
		return err
	}
	return &failure.UnansweredError{After: time.Since(a.begun), Reused: a.reused, Silent: a.b.Unanswered(a.begun)}
}
