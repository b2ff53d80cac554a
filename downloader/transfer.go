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

// scratch is what a worker reuses from transfer to transfer.
type scratch struct {
	buf    []byte
	digest *segment.Digest
}

func newScratch() *scratch {
	return &scratch{buf: make([]byte, segment.BufferSize), digest: segment.NewDigest()}
}

// transfer is one object on its way into its partial. The worker that took its entry owns
// it; idle workers help, each with a segment of its own, once the object is known to be
// large and not to change.
type transfer struct {
	p      *pass
	entry  manifest.Entry
	file   *tree.Partial
	segs   segment.List
	digest *segment.Digest

	begun  time.Time     // when the owner made its last request
	outage time.Duration // how long the current source may have trouble

	mu     sync.Mutex    // guards the fields below
	from   *candidate    // the current source
	meta   store.Partial // as it will be recorded next
	void   string        // why all bytes must go; empty if they may stay
	tail   bool          // it may be enough to drop what wasn't synced
	stray  int           // answers with other bytes than requested
	ranges ranges
	quiet  time.Time // no help before: a helper failed
	fails  int       // of helpers, in a row
	over   bool      // the remaining helpers are being sent away

	// Known to the owner alone: how many bytes were present before those of the current
	// source, what other sources served of them in this pass, and whether the bytes of the
	// last verdict all came from one source.
	before  int64
	synced  int64 // how many of the bytes found were synced; more than these are trusted; 0 if not
	earlier []portion
	pure    bool
	doubt   suspicion
	asks    bool // its digest is to tell whether the host is healthy

	unanswered atomic.Int32 // requests given up before an answer began

	recorded bool        // the store has a record of the partial; guarded by p.checkpoints
	listed   atomic.Bool // the checkpointer has it
	started  time.Time
}

// fetch brings an entry's bytes into its partial and verifies them. On success the partial
// is complete with the right digest; its bytes are not durable yet.
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

// wasWhole reports whether an earlier process had fetched the whole object.
func (t *transfer) wasWhole() (bool, error) {
	front := t.segs.Front()
	if front == 0 || t.meta.Size > front {
		return false, nil
	}
	got, err := t.digest.Of(t.file.File, front)
	if err != nil && durable.IsUnreadable(err) {
		_ = t.cannotRead(err) // run starts over
		return false, nil
	}
	return got == t.entry.Digest, err
}

// run fetches the missing bytes, from the first source that has them.
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

// turnTo changes the current source, after the workers of the previous one have ended. The
// bytes stay: the answer of the source will show whether they are of use, see exchange.
func (t *transfer) turnTo(c *candidate) {
	if t.source() != nil {
		t.sendOff(errTurned)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.from, t.stray, t.ranges, t.fails, t.quiet = c, 0, ranges{}, 0, time.Time{}
}

// errTurned ends the connections to a source when another one takes over.
var errTurned = fmt.Errorf("%w: another source is asked", failure.ErrVoid)

// source returns the current source.
func (t *transfer) source() *candidate {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.from
}

// insist fetches the missing bytes from one source, with the patience that it deserves:
// less if there is another source.
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

// try continues until the object is complete with the right digest, or something fails on
// this worker's connection. If the present bytes prove useless, it starts over immediately,
// once.
func (t *transfer) try(ctx context.Context, buf []byte) error {
	restarted := false
	defer t.answerAsked(failure.ErrVoid) // if it never got to its digest
	for {
		busy, changed := t.segs.Busy()
		switch why := t.voided(); {
		case why != "" && busy:
			// The other workers have been told to stop.
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

// help fetches a part of a transfer that another worker owns. The owner judges failures,
// since it finds the segment unfinished; help stays away for a while.
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

// wantsHelp reports whether another connection would speed up the transfer, and how much is
// missing.
func (t *transfer) wantsHelp() (left int64, ok bool) {
	t.mu.Lock()
	size, quiet := t.meta.Size, t.quiet
	t.mu.Unlock()
	if time.Now().Before(quiet) || !t.segs.Wants(true) {
		return 0, false
	}
	return size - t.segs.Have(), true
}

// verify judges the complete object.
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

// revoke says that the present bytes must go, and ends all work on them. It returns the
// error for the connection that found out.
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

// settle waits for all helpers to leave.
func (t *transfer) settle() {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.p.crowd.close(t)
	t.sendOff(context.Canceled)
	t.digest.Unfollow()
}

// sendOff ends all connections, admits no other and waits until they are gone.
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
		portion: portion{t.meta.Source, fi.Size() - t.before}, earlier: t.earlier,
	}, nil
}

// abandon closes the partial of a failed transfer, and keeps its bytes for the next pass.
func (t *transfer) abandon() error {
	t.p.leave(t)
	if t.p.s.Store.Lost() != nil { // the new owner may have verified the same file under its final name
		return t.file.Close()
	}
	if t.segs.Have() == 0 {
		return t.p.s.Tree.DropPartial(t.file)
	}
	// Frees what was preallocated for the rest.
	err := errors.Join(t.file.Truncate(t.segs.Last()), t.p.checkpointOne(t))
	if errors.Is(err, syscall.ENOSPC) {
		err = nil // already reported, and a large partial has had its record since its first byte
	}
	if t.recorded {
		t.p.s.keepPartial(t.meta)
	}
	return errors.Join(err, t.file.Close())
}
