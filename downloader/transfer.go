package downloader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/retry"
	"mimicsync/downloader/segment"
	"mimicsync/downloader/source"
	"mimicsync/downloader/tree"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// scratch is what a worker uses for one transfer after the other.
type scratch struct {
	buf    []byte
	digest *segment.Digest
}

func newScratch() *scratch {
	return &scratch{buf: make([]byte, segment.BufferSize), digest: segment.NewDigest()}
}

// transfer is one object on its way into its partial. The worker that obtains
// its entry owns it; workers that have nothing else to do help, each with a
// segment of its own, once the object is known to be large and to stay the same.
type transfer struct {
	p      *pass
	entry  manifest.Entry
	file   *tree.Partial
	segs   segment.List
	digest *segment.Digest

	begun  time.Time     // when the owner's last request was made
	outage time.Duration // how long the source that is asked may be in trouble

	mu     sync.Mutex    // guards what follows
	from   *candidate    // the source that is asked
	meta   store.Partial // as it will be recorded next
	void   string        // why all that is here must go; empty while it need not
	tail   bool          // it may be enough that goes what had not been synced
	stray  int           // answers with other bytes than were asked for
	ranges ranges
	quiet  time.Time // no help before: a helper failed
	fails  int       // of helpers, in a row
	over   bool      // whoever is still helping is sent off

	// What the owner alone knows: how many bytes were here before those of the
	// source that gave the last ones, what other sources gave of them in this
	// pass, and whether the bytes of the last verdict were all from one source.
	before  int64
	synced  int64 // of the bytes found here so many had been synced, and more are trusted; 0 if not so
	earlier []share
	pure    bool
	doubt   suspicion
	asks    bool // its digest is to tell whether the host is well

	unanswered atomic.Int32 // requests that were given up because no answer began

	recorded bool        // the store knows the partial; guarded by p.checkpoints
	listed   atomic.Bool // the checkpointer knows it
	started  time.Time
}

// fetch brings an entry's bytes into its partial and verifies them. On success
// the partial is whole and its digest is right; its bytes are not durable yet.
func (p *pass) fetch(ctx context.Context, e manifest.Entry, work *scratch) (done *committed, err error) {
	t, err := p.newTransfer(e, work)
	if err != nil {
		return nil, err
	}
	defer func() {
		if done == nil {
			err = errors.Join(err, t.makeRoom(ctx), t.abandon())
		}
	}()
	whole, err := t.wasWhole()
	if err == nil && !whole {
		err = t.run(ctx, work.buf)
	}
	t.settle()
	if err != nil {
		return nil, err
	}
	return t.finish()
}

// wasWhole reports whether an earlier process had fetched the object to its end.
func (t *transfer) wasWhole() (bool, error) {
	front := t.segs.Front()
	if front == 0 || t.meta.Size > front {
		return false, nil
	}
	got, err := t.digest.Of(t.file.File, front)
	if err != nil && durable.IsUnreadable(err) {
		_ = t.cannotRead(err) // run begins anew
		return false, nil
	}
	return got == t.entry.Digest, err
}

// run brings in what is missing, from the first source that has it.
func (t *transfer) run(ctx context.Context, buf []byte) error {
	p := t.p
	order, err := p.order(t.entry.Digest)
	if err != nil {
		return err
	}
	var misses unservedError
	for i, c := range order {
		if c.awaitDecision(ctx) {
			<-c.deciding
		}
		err := p.droppedFor(c)
		if err == nil {
			t.turnTo(c)
			if err := t.suspect(c); err != nil {
				return err
			}
			err = t.insist(ctx, buf, i+1 < len(order))
			switch {
			case err == nil:
				p.allowed(c)
				return nil
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case !p.missed(ctx, c, t.entry, err, t.pure):
				return err
			}
		}
		misses = append(misses, miss{c.Name(), err})
	}
	return misses
}

// turnTo makes a source the one that is asked, after those who were at work with
// another one have ended. What is here stays: whether it is of any use shows when
// the source answers, see exchange.
func (t *transfer) turnTo(c *candidate) {
	if t.source() != nil {
		t.sendOff(errTurned)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.from, t.stray, t.ranges, t.fails, t.quiet = c, 0, ranges{}, 0, time.Time{}
}

// errTurned ends the connections to a source that another one follows.
var errTurned = fmt.Errorf("%w: another source is asked", failure.ErrVoid)

// source is the one that is asked.
func (t *transfer) source() *candidate {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.from
}

// insist brings in what is missing from one source, with as much patience as it
// deserves: less if there is another one.
func (t *transfer) insist(ctx context.Context, buf []byte, elsewhere bool) error {
	p, c := t.p, t.source()
	patience := retry.NewPatience(c.Budget, c.Health)
	patience.Served = func() bool { return c.Health.LetIn(c.Name(), p.ref) }
	patience.Sole = !elsewhere
	if elsewhere {
		patience.Wrong, patience.Outage = retry.MaxWrong-retry.ElsewhereWrong, retry.ElsewhereOutage
	}
	t.outage = patience.Outage
	resting := false
	awake := func() {
		if resting {
			p.crowd.rest(-1)
			p.progress.Met(c.Name(), t.entry.Path)
			resting = false
		}
	}
	defer awake()
	asked, end := c.ask(ctx)
	defer end()
	err := patience.Persist(asked, func() (bool, error) {
		awake()
		before := t.segs.Have()
		err := t.try(ctx, buf)
		if patience.Sole && errors.Is(err, source.ErrNotExist) {
			p.doubtManifest(ctx, false)
		}
		return t.segs.Have() > before+overlap, err
	}, func(err error, wait time.Duration) {
		p.crowd.rest(1)
		resting = true
		p.progress.Await(progress.Wait{For: c.Name(), Object: t.entry.Path, Why: oneLine(err.Error()), Until: time.Now().Add(wait)})
		p.retried(c.Name())
		p.s.Logger.WarnContext(ctx, "retry", "dataset", p.ref.String(), "object", t.entry.Path, "from", c.Name(), "wait", wait, "err", err)
	})
	if _, wrong := errors.AsType[*failure.MismatchError](err); patience.Sole && (wrong || errors.Is(err, source.ErrNotExist)) && ctx.Err() == nil {
		p.doubtManifest(ctx, true)
	}
	return err
}

// try goes on until the object is here and its digest is right, or something
// goes wrong on this worker's connection. When what was here turns out to be of
// no use, it starts over at once, the first time.
func (t *transfer) try(ctx context.Context, buf []byte) error {
	restarted := false
	defer t.answerAsked(failure.ErrVoid) // where it has not come to its digest
	for {
		busy, changed := t.segs.Busy()
		switch why := t.voided(); {
		case why != "" && busy:
			// Those who are still at work have been told to stop.
		case why != "":
			all, err := t.giveUp(ctx, why)
			if err != nil {
				return err
			}
			if all && restarted {
				return fmt.Errorf("the source's bytes do not fit together: %s", why)
			}
			restarted = all
			continue
		case t.segs.Wants(false):
			if err := t.attempt(ctx, buf, false); err != nil && t.voided() == "" && !t.isAll(err) {
				return t.dropBoundless(ctx, err)
			}
			continue
		case !busy:
			return t.verify(ctx)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// help takes a part of a transfer that another worker owns. What goes wrong is
// for the owner to judge, who finds the segment left; help stays away for a while.
func (t *transfer) help(ctx context.Context, buf []byte) error {
	err := t.attempt(ctx, buf, true)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil || errors.Is(err, failure.ErrVoid) || t.void != "" || t.over {
		t.fails = 0
		return nil
	}
	t.fails = min(t.fails+1, 6)
	wait := time.Second << t.fails
	if status, ok := errors.AsType[*source.StatusError](err); ok {
		wait = max(wait, status.RetryAfter)
	}
	t.quiet = time.Now().Add(wait)
	t.p.retried(t.from.Name())
	t.p.s.Logger.WarnContext(ctx, "retry", "dataset", t.p.ref.String(), "object", t.entry.Path, "wait", wait, "err", err)
	return nil
}

// wantsHelp reports whether another connection would speed the transfer up, and
// how much is missing.
func (t *transfer) wantsHelp() (left int64, ok bool) {
	t.mu.Lock()
	size, quiet := t.meta.Size, t.quiet
	t.mu.Unlock()
	if time.Now().Before(quiet) || !t.segs.Wants(true) {
		return 0, false
	}
	return size - t.segs.Have(), true
}

// verify judges the whole.
func (t *transfer) verify(ctx context.Context) error {
	size := t.segs.Front()
	t.digest.Unfollow()
	got, err := t.digest.Of(t.file.File, size)
	if err != nil {
		return t.cannotRead(err)
	}
	c := t.source()
	if got == t.entry.Digest {
		c.Health.Verified(c.Name(), t.p.ref, t.entry, size, t.begun)
		t.answerAsked(nil)
		return nil
	}
	t.pure = t.before == 0 && len(t.earlier) == 0
	mismatch := &failure.MismatchError{Path: t.entry.Path, Want: t.entry.Digest, Got: got, Size: size}
	if t.pure {
		c.Health.Mismatched(c.Name(), t.p.ref, mismatch)
		t.answerAsked(mismatch)
		t.p.doubtManifest(ctx, false)
	}
	t.mu.Lock()
	validator := t.meta.Validator
	t.mu.Unlock()
	t.mu.Lock()
	t.tail = true
	t.mu.Unlock()
	err = t.convict(mismatch, validator)
	_, derr := t.giveUp(ctx, "wrong digest")
	return errors.Join(err, derr)
}

// revoke says that what is here must go, and ends all work on it. It returns
// the error for the connection that found out.
func (t *transfer) revoke(why string) error {
	t.mu.Lock()
	t.void = why
	t.mu.Unlock()
	err := fmt.Errorf("%w: %s", failure.ErrVoid, why)
	t.segs.Interrupt(err)
	return err
}

func (t *transfer) voided() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.void
}

// settle sees all helpers off.
func (t *transfer) settle() {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.p.crowd.close(t)
	t.sendOff(context.Canceled)
	t.digest.Unfollow()
}

// sendOff ends all connections, lets no other in and waits until they are gone.
func (t *transfer) sendOff(cause error) {
	t.segs.Interrupt(cause)
	for {
		busy, changed := t.segs.Busy()
		if !busy {
			return
		}
		<-changed
	}
}

// finish closes the verified partial and describes its commit.
func (t *transfer) finish() (*committed, error) {
	t.p.s.at("verified")
	t.p.leave(t)
	fi, err := t.p.s.Tree.Stamp(t.file, t.meta.Modified)
	if err != nil {
		return nil, err
	}
	if fi.Size() >= writebackFrom {
		t.p.s.Tree.StartWriteback(t.file.File)
	}
	if !t.file.IsNameless() {
		if err := t.file.Close(); err != nil {
			return nil, err
		}
	}
	return &committed{
		entry:  t.entry,
		record: store.Record{Size: fi.Size(), ModTime: fi.ModTime(), Verified: time.Now()},
		how:    fetched, partial: t.file, recorded: t.recorded, durable: t.meta.Durable,
		share: share{t.meta.Source, fi.Size() - t.before}, earlier: t.earlier,
	}, nil
}

// abandon closes the partial of a transfer that did not succeed, and keeps
// what has come of it for the next pass.
func (t *transfer) abandon() error {
	t.p.leave(t)
	if t.p.s.Store.Lost() != nil { // the file may be what the other one has verified, under its final name
		return t.file.Close()
	}
	if t.segs.Have() == 0 {
		return t.p.s.Tree.DropPartial(t.file)
	}
	// What was reserved for the rest is given back.
	err := errors.Join(t.file.Truncate(t.segs.Last()), t.p.checkpointOne(t))
	if errors.Is(err, syscall.ENOSPC) {
		err = nil // said already, and a big partial has had its record since its first byte
	}
	if t.recorded {
		t.p.s.keepPartial(t.meta)
	}
	return errors.Join(err, t.file.Close())
}
