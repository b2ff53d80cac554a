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

// An object is asked for as a whole after clearRefusals clear refusals of a range in
// a row; after doubtfulRefusals that may mean anything, or fewDoubtful that would end
// the tries, it is tried out whether the whole comes.
const (
	clearRefusals    = 3
	doubtfulRefusals = 4
	fewDoubtful      = 2
)

// ranges is what an object's source makes of requests for a part of it, since there was
// progress. Guarded by its transfer.
type ranges struct {
	came              int  // bytes
	refused, doubtful int  // requests
	trial             bool // it is to be tried out whether the whole comes
	comes             bool // it does: the next failure is that of ranges
	whole             bool // it is asked for as a whole
}

// ask makes a request for an entry and notes what its answer says of ranges.
func (t *transfer) ask(ctx context.Context, c *candidate, r source.Request) (*source.Object, error) {
	part := r.Offset > 0 || r.Length > 0
	if part {
		t.tryWhole(ctx, c)
	}
	object, err := t.p.open(ctx, c, r, t.unanswered.Load())
	if errors.Is(err, source.ErrNotModified) && r.NoneMatch == "" { // classify takes that for the answer about a manifest
		err = fmt.Errorf("%s answers that %s has not changed, which nobody asked", c.Name(), t.entry.Path)
	}
	if part && err != nil {
		err = t.judgeRange(err, r)
	}
	return object, err
}

// tryWhole finds out whether the whole comes, if ranges have failed that often. What is
// here would have to come again, so that it comes is not reason enough: ranges must
// fail once more.
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
		_ = whole.Body.Close() // that it comes is the answer
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ranges.comes = err == nil; !t.ranges.comes {
		t.ranges.doubtful = 0 // it is not about ranges
	}
}

// judgeRange notes that a request for a part was answered by an error, and returns the
// one to go on with: it says no more of the entry where ranges are doubted. A server, or
// a cache or a firewall before it, may refuse ranges alone: with 400 or 403, with a 206
// that says nothing of its range, or with the same error each time.
func (t *transfer) judgeRange(err error, r source.Request) error {
	status, isStatus := errors.AsType[*source.StatusError](err)
	_, denied := errors.AsType[*source.AccessError](err)
	t.mu.Lock()
	defer t.mu.Unlock()
	few := denied || errors.Is(err, source.ErrWebPage) || errors.Is(err, source.ErrNotExist)
	switch {
	case !retry.IsTrouble(err) && !errors.Is(err, source.ErrNotExist) || retry.IsUnreachable(err):
		return err
	case isStatus && (retry.AnswerOfStatus(status) == pace.TooFast || retry.AnswerOfStatus(status) == pace.Busy && r.Length > 0): // so many parts at once may be too many
		return err
	case errors.Is(err, source.ErrNoRange), isStatus && status.Code/100 == 4:
		t.ranges.refused++
		t.ranges.whole = t.ranges.whole || t.ranges.refused >= clearRefusals
		return err
	case !t.doubtRange(few):
		return err
	}
	return fmt.Errorf("%w: %s", source.ErrNoRange, err.Error()) // what it says of the entry may not be so
}

// doubtRange counts a request for a part that failed or brought nothing, and reports
// whether ranges are doubted. The caller holds mu.
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

// judgePart notes how an answer with a part of the object has ended.
func (t *transfer) judgePart(err error) {
	if !retry.IsTrouble(err) || errors.Is(err, errStraggler) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubtRange(false)
}

// noteProgress ends what is held against ranges, when more has come than a range that
// is cut at once brings.
func (t *transfer) noteProgress(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ranges.came += n; t.ranges.came > overlap {
		t.ranges = ranges{whole: t.ranges.whole}
	}
}

// refusesRange reports whether an error is about the range that was asked for, and
// says nothing of the host.
func refusesRange(err error) bool { return errors.Is(err, source.ErrNoRange) }

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
	size, short := errors.AsType[*failure.SizeError](err)
	if (!short || size.Got >= size.Want) && !errors.Is(err, io.ErrUnexpectedEOF) || !t.segs.Alone() {
		return false
	}
	front := t.segs.Front()
	got, derr := t.digest.Of(t.file.File, front)
	if derr != nil || got != t.entry.Digest {
		return false
	}
	if t.file.Truncate(front) != nil { // what was reserved for the rest
		return false
	}
	t.segs.SetSize(front)
	t.mu.Lock()
	t.meta.Size = front
	t.mu.Unlock()
	return true
}
