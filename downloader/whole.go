package downloader

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// An object is asked for as a whole after clearRefusals clear refusals of a range in
// a row; after doubtfulRefusals that may mean anything, that is tried out.
const (
	clearRefusals    = 3
	doubtfulRefusals = 5
)

// ranges is what an object's source makes of requests for a part of it. Guarded by
// its transfer.
type ranges struct {
	refused, doubtful int  // requests in a row
	whole             bool // it is asked for as a whole
}

// ask makes a request for an entry and notes what its answer says of ranges.
func (t *transfer) ask(ctx context.Context, c *candidate, r Request) (*Object, error) {
	object, err := t.p.open(ctx, c, r, t.unanswered.Load())
	if errors.Is(err, ErrNotModified) && r.NoneMatch == "" { // classify takes that for the answer about a manifest
		err = fmt.Errorf("%s answers that %s has not changed, which nobody asked", c.Name(), t.entry.Path)
	}
	if r.Offset == 0 && r.Length == 0 {
		return object, err
	}
	tryOut := t.judgeRange(err)
	if !tryOut {
		return object, err
	}
	whole, werr := t.p.open(ctx, c, Request{Ref: r.Ref, Path: r.Path}, t.unanswered.Load())
	if werr != nil {
		return nil, err // it is not about ranges
	}
	_ = whole.Body.Close() // that it comes is the answer; what is here would have to come again
	object, err = t.p.open(ctx, c, r, t.unanswered.Load())
	if err != nil && (isTrouble(err) || errors.Is(err, ErrNotExist)) {
		t.mu.Lock()
		t.ranges.whole = true
		t.mu.Unlock()
		t.p.s.Logger.WarnContext(ctx, "ask without a range", "dataset", t.p.ref.String(), "object", t.entry.Path, "from", c.Name(), "err", err)
	}
	return object, err
}

// judgeRange notes how a request for a range ended, and reports whether to try out
// if the whole comes. A server, or a cache or a firewall before it, may refuse
// ranges alone: with 400 or 403, with a 206 that says nothing of its range, or with
// the same error each time.
func (t *transfer) judgeRange(err error) (tryOut bool) {
	status, isStatus := errors.AsType[*StatusError](err)
	_, denied := errors.AsType[*AccessError](err)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.ranges = ranges{whole: t.ranges.whole}
	case !isTrouble(err) && !errors.Is(err, ErrNotExist) || isUnreachable(err) || isStatus && (status.answer() == TooFast || status.answer() == Busy):
	case errors.Is(err, ErrNoRange), isStatus && status.Code/100 == 4:
		t.ranges.refused++
		t.ranges.whole = t.ranges.whole || t.ranges.refused >= clearRefusals
	case denied, errors.Is(err, ErrWebPage), errors.Is(err, ErrNotExist):
		t.ranges.doubtful++
		return t.ranges.doubtful >= 2
	default:
		t.ranges.doubtful++
		return t.ranges.doubtful >= doubtfulRefusals
	}
	return false
}

// refusesRange reports whether an error is about the range that was asked for, and
// says nothing of the host.
func refusesRange(err error) bool { return errors.Is(err, ErrNoRange) }

// wantsWhole reports whether the object is asked for without a range.
func (t *transfer) wantsWhole() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ranges.whole
}

// isAll reports whether what came is the entry, although its end came sooner than
// the source had announced: the digest decides, not a Content-Length. Then nothing
// is wanted any more.
func (t *transfer) isAll(err error) bool {
	size, short := errors.AsType[*SizeError](err)
	if (!short || size.Got >= size.Want) && !errors.Is(err, io.ErrUnexpectedEOF) || !t.segs.alone() {
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
