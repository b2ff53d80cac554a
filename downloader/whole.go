package downloader

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// noRanges is how much must speak against asking for ranges until an object is
// asked for as a whole.
const noRanges = 6

// ask makes a request for an entry and notes what it says of ranges.
func (t *transfer) ask(ctx context.Context, c *candidate, r Request) (*Object, error) {
	object, err := t.p.open(ctx, c, r, t.unanswered.Load())
	if errors.Is(err, ErrNotModified) && r.NoneMatch == "" { // classify takes that for the answer about a manifest
		err = fmt.Errorf("%s answers that %s has not changed, which nobody asked", c.Name(), t.entry.Path) //nolint:errorlint // its meaning is to go
	}
	if r.Offset > 0 || r.Length > 0 {
		t.judgeRange(ctx, c, err)
	}
	return object, err
}

// judgeRange notes how a request for a range ended. A server, or a cache or a
// firewall before it, may refuse those alone: with 400 or 403, with a 206 that says
// nothing of its range, or with an error each time. Three clear refusals in a row,
// or six answers that may mean anything, and the object is asked for as a whole.
func (t *transfer) judgeRange(ctx context.Context, c *candidate, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	status, isStatus := errors.AsType[*StatusError](err)
	_, refused := errors.AsType[*AccessError](err)
	switch {
	case err == nil:
		t.unranged = 0
		return
	case !isTrouble(err) || isUnreachable(err) || isStatus && (status.answer() == TooFast || status.answer() == Busy):
		return
	case refused, errors.Is(err, ErrNoRange), isStatus && status.Code/100 == 4:
		t.unranged += 2
	case c.Budget.health.isWell():
		t.unranged++
	}
	if t.unranged == noRanges || t.unranged == noRanges+1 {
		t.p.s.Logger.WarnContext(ctx, "ask without a range", "dataset", t.p.ref.String(), "object", t.entry.Path, "from", c.Name(), "err", err)
	}
}

// wantsWhole reports whether the object is asked for without a range.
func (t *transfer) wantsWhole() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unranged >= noRanges
}

// isAll reports whether what came is the entry, although its end came sooner than
// the source had announced: the digest decides, not a Content-Length. Then nothing
// is wanted any more.
func (t *transfer) isAll(err error) bool {
	size, short := errors.AsType[*SizeError](err)
	if !(short && size.Got < size.Want || errors.Is(err, io.ErrUnexpectedEOF)) || !t.segs.alone() {
		return false
	}
	front := t.segs.front()
	got, derr := t.digest.of(t.file.File, front)
	if derr != nil || got != t.entry.Digest {
		return false
	}
	if t.file.Truncate(front) != nil { // what was reserved for the rest
		return false
	}
	t.segs.setSize(front)
	t.mu.Lock()
	t.meta.Size = front
	t.mu.Unlock()
	return true
}
