package downloader

import (
	"context"
	"errors"
	"fmt"
	"io"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/retry"
	"mimicsync/downloader/source"
)

// An object is requested as a whole after clearRefusals clear refusals of a range in a row.
// After doubtfulRefusals ambiguous ones, or fewDoubtful that would end the tries, a request
// finds out whether the whole object comes.
const (
	clearRefusals    = 3
	doubtfulRefusals = 4
	fewDoubtful      = 2
)

// ranges is how an object's source has answered requests for parts of it, since the last
// progress. Guarded by its transfer.
type ranges struct {
	came              int  // bytes
	refused, doubtful int  // requests
	trial             bool // find out whether the whole object comes
	comes             bool // it does: the next failure is due to ranges
	whole             bool // it is requested as a whole
}

// ask makes a request for an entry and notes what the answer says about ranges.
func (t *transfer) ask(ctx context.Context, c *candidate, r source.Request) (*source.Object, error) {
	part := r.Offset > 0 || r.Length > 0
	if part {
		t.tryWhole(ctx, c)
	}
	object, err := t.p.open(ctx, c, r, t.unanswered.Load())
	if errors.Is(err, source.ErrNotModified) && r.NoneMatch == "" { // classify would take it for the answer about a manifest
		err = fmt.Errorf("%s answers that %s has not changed, which nobody asked", c.Name(), t.entry.Path)
	}
	if part && err != nil {
		err = t.judgeRange(err, r)
	}
	return object, err
}

// tryWhole finds out whether the whole object comes, after that many ranges failed. That
// alone is no reason to fetch the present bytes again: ranges must fail once more.
func (t *transfer) tryWhole(ctx context.Context, c *candidate) {
	t.mu.Lock()
	trial := t.ranges.trial
	t.ranges.trial = false
	t.mu.Unlock()
	if !trial {
		return
	}
	whole, err := t.p.open(ctx, c, source.Request{Ref: t.p.ref, Path: t.entry.Path}, t.unanswered.Load())
	if err == nil {
		_ = whole.Body.Close() // that it arrives is the answer
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ranges.comes = err == nil; !t.ranges.comes {
		t.ranges.doubtful = 0 // the trouble is not about ranges
	}
}

// judgeRange notes that a request for a part was answered by an error, and returns the
// error to continue with, which says nothing about the entry if ranges are in doubt. A
// server, cache or firewall may refuse ranges alone: with 400 or 403, with a 206 that
// doesn't state its range, or with the same error each time.
func (t *transfer) judgeRange(err error, r source.Request) error {
	status, isStatus := errors.AsType[*source.StatusError](err)
	_, denied := errors.AsType[*source.AccessError](err)
	t.mu.Lock()
	defer t.mu.Unlock()
	few := denied || errors.Is(err, source.ErrWebPage) || errors.Is(err, source.ErrNotExist)
	switch {
	case !retry.IsTrouble(err) && !errors.Is(err, source.ErrNotExist) || retry.IsUnreachable(err):
		return err
	case isStatus && (retry.AnswerOfStatus(status) == pace.TooFast || retry.AnswerOfStatus(status) == pace.Busy && r.Length > 0): // perhaps too many parts at once
		return err
	case errors.Is(err, source.ErrNoRange), isStatus && status.Code/100 == 4:
		t.ranges.refused++
		t.ranges.whole = t.ranges.whole || t.ranges.refused >= clearRefusals
		return err
	case !t.doubtRange(few):
		return err
	}
	return fmt.Errorf("%w: %s", source.ErrNoRange, err.Error()) // what it says about the entry may be wrong
}

// doubtRange counts a request for a part that failed or delivered nothing, and reports
// whether ranges are in doubt. The caller holds mu.
func (t *transfer) doubtRange(few bool) bool {
	r := &t.ranges
	r.doubtful++
	switch {
	case r.comes:
		r.whole = true
	case r.doubtful >= doubtfulRefusals, few && r.doubtful >= fewDoubtful:
		r.trial = true
	default:
		return false
	}
	return true
}

// judgePart notes how an answer with a part of the object ended.
func (t *transfer) judgePart(err error) {
	if !retry.IsTrouble(err) || errors.Is(err, errStraggler) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubtRange(false)
}

// noteProgress clears ranges of doubt after more bytes arrived than a range that is cut
// immediately delivers.
func (t *transfer) noteProgress(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ranges.came += n; t.ranges.came > overlap {
		t.ranges = ranges{whole: t.ranges.whole}
	}
}

// refusesRange reports whether an error is about the requested range, and says nothing
// about the host.
func refusesRange(err error) bool { return errors.Is(err, source.ErrNoRange) }

// wantsWhole reports whether the object is requested without a range.
func (t *transfer) wantsWhole() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ranges.whole
}

// isAll reports whether the received bytes are the entry, although they ended sooner than
// the source announced: the digest decides, not a Content-Length. Then nothing else is
// missing.
func (t *transfer) isAll(err error) bool {
	size, short := errors.AsType[*failure.SizeError](err)
	if (!short || size.Got >= size.Want) && !errors.Is(err, io.ErrUnexpectedEOF) || !t.segs.Alone() {
		return false
	}
	front := t.segs.Front()
	got, derr := t.digest.Of(t.file.File, front)
	if derr != nil || got != t.entry.Digest {
		return false
	}
	if t.file.Truncate(front) != nil { // free what was preallocated for the rest
		return false
	}
	t.segs.SetSize(front)
	t.mu.Lock()
	t.meta.Size = front
	t.mu.Unlock()
	return true
}
