package downloader

import (
	"context"
	"errors"
	"fmt"
)

// leastBound is what a body may bring whose size its source does not tell, however
// small the version is said to be: that may be wrong.
const leastBound = 64 << 20

// BoundlessError means that a body whose size its source does not tell brought more
// than its file can have. All of it is dropped.
type BoundlessError struct {
	Got  int64 // bytes that came
	Most int64 // that the file may have, 0 where it ended with the room on the disk
}

// Error names both sizes.
func (e *BoundlessError) Error() string {
	if e.Most == 0 {
		return fmt.Sprintf("the source does not say how long the file is, and sent %s, until the disk was full; they are dropped", size(e.Got))
	}
	return fmt.Sprintf("the source does not say how long the file is, and sent %s, where at most %s are likely; they are dropped", size(e.Got), size(e.Most))
}

// bound is how much a body may bring whose size is not told: the published size of
// the version is rounded, and nobody may know it, which is 0.
func (p *pass) bound() int64 {
	if p.published == 0 {
		return 0
	}
	return max(2*p.published, leastBound)
}

// withinBound judges how much a body has brought whose size is not told.
func (t *transfer) withinBound(got int64) error {
	if most := t.p.bound(); most > 0 && got > most {
		return &BoundlessError{Got: got, Most: most}
	}
	return nil
}

// dropBoundless empties the partial of a file that went on and on, so that the disk
// has room for others again, and returns the error for it. Where the disk was full
// of others, that is it.
func (t *transfer) dropBoundless(ctx context.Context, err error) error {
	t.mu.Lock()
	told := t.meta.Size >= 0
	t.mu.Unlock()
	_, boundless := errors.AsType[*BoundlessError](err)
	got := t.segs.Have()
	if full := errors.Is(err, ErrNoSpace) && !told; got == 0 || !boundless && !full {
		return err
	}
	if derr := t.discard(ctx, err.Error()); derr != nil {
		return errors.Join(err, derr)
	}
	if boundless {
		return err
	}
	space, serr := t.p.s.Tree.Free()
	if serr != nil || got < leastBound || got < space.Bytes/2 {
		return err
	}
	return &BoundlessError{Got: got}
}

// makeRoom empties the partial of a file whose size nobody tells where the pass ends
// because the disk is full: it may be what fills it, and the next pass would begin
// with a full disk.
func (t *transfer) makeRoom(ctx context.Context) error {
	t.mu.Lock()
	told := t.meta.Size >= 0
	t.mu.Unlock()
	if told || t.segs.Have() == 0 || !errors.Is(context.Cause(ctx), ErrNoSpace) {
		return nil
	}
	return t.discard(ctx, "the disk is full, and nobody says how long the file is")
}
