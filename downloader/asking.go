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

// enter waits, at the health of a source, for the turn of a request, and returns with a
// connection. If the host has trouble, this request is the one that probes it, and reports
// its outcome by Budget.health.asked.
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
		if !ask { // others have found the trouble in the meantime
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
		if _, wrong := errors.AsType[*failure.MismatchError](err); wrong || errors.Is(err, source.ErrNotExist) { // the present bytes may be of another edition
			t.p.doubtManifest(ctx, false)
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
}

// noteHealth reports an attempt that ended by itself or was canceled here; the latter says
// nothing of the host. asks means that it was to find out whether the host is healthy, and
// hasn't.
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

// errResting sends a helper away from a host with trouble.
var errResting = errors.New("the host is in trouble")

// isToTell reports whether the digest of the entry tells if the host is healthy. A big
// entry would take too long.
func (t *transfer) isToTell(c *candidate) bool {
	t.mu.Lock()
	size := t.meta.Size
	t.mu.Unlock()
	return size <= retry.WholeReference && c.Health.DoubtsDigests()
}

// answerAsked reports what the digest says about the host, if it was to tell.
func (t *transfer) answerAsked(err error) {
	if t.asks {
		t.asks = false
		t.source().Health.Asked(err)
	}
}
