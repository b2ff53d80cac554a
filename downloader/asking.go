package downloader

import (
	"context"
	"errors"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/retry"
	"mimicsync/downloader/source"
)

// enter waits at a source's health for the turn of a request, and returns with a
// connection. The caller may find the host in trouble: then it is the one that
// asks, by its request, and reports how that ended by Budget.health.asked.
func (t *transfer) enter(ctx context.Context, c *candidate, helper bool) (asks bool, err error) {
	h := c.Health
	asked, end := c.ask(ctx)
	defer end()
	for {
		if helper && !h.IsWell() {
			return false, errResting
		}
		ask, err := h.Enter(asked, t.p.transfers, t.outage, func(why error, since, until time.Time) {
			t.p.progress.Await(progress.Wait{For: c.Name(), Why: oneLine(why.Error()), Since: since, Until: until})
		})
		if ask && helper { // the owner will
			h.Asked(failure.ErrVoid)
			return false, errResting
		}
		if err != nil {
			return false, err
		}
		if err := c.Budget.Acquire(asked); err != nil {
			if ask {
				h.Asked(err)
			}
			return false, err
		}
		if !ask && h.IsWell() {
			t.p.progress.Met(c.Name(), "")
			return false, nil
		}
		if !ask { // others have found the trouble meanwhile
			c.Budget.Release(pace.NoAnswer, 0)
			continue
		}
		known, err := t.p.askForWhatCame(ctx, c)
		if !known {
			return true, nil
		}
		h.Asked(err)
		if err == nil {
			t.p.progress.Met(c.Name(), "")
			return false, nil
		}
		t.p.s.release(c.Source, err)
		if _, wrong := errors.AsType[*failure.MismatchError](err); wrong || errors.Is(err, source.ErrNotExist) { // what came before may be of another edition by now
			t.p.doubtManifest(ctx, false)
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
}

// noteHealth is about an attempt that ended: by itself, or because it was broken
// off here, which says nothing of the host. asks means that it was to find out
// whether the host is well, and has not.
func (t *transfer) noteHealth(c *candidate, err error, begun time.Time, broken, asks bool) {
	h := c.Health
	switch {
	case broken && asks:
		h.Asked(failure.ErrVoid)
	case broken:
	case asks && err == nil && h.DoubtsDigests(): // see verify
		t.asks = true
	case asks:
		h.Asked(err)
	default:
		h.Answered(c.Name(), t.p.ref, err, c.Tolerance(err), begun)
	}
}

// errResting sends a helper away from a host in trouble.
var errResting = errors.New("the host is in trouble")

// isToTell reports whether it is the digest of the entry that tells if the host is
// well. That of a big one would take too long.
func (t *transfer) isToTell(c *candidate) bool {
	t.mu.Lock()
	size := t.meta.Size
	t.mu.Unlock()
	return size <= retry.WholeReference && c.Health.DoubtsDigests()
}

// answerAsked says what the digest tells of the host, if it was to tell.
func (t *transfer) answerAsked(err error) {
	if t.asks {
		t.asks = false
		t.source().Health.Asked(err)
	}
}
