package downloader

import (
	"context"
	"errors"

	"mimicsync/downloader/failure"
)

// leastBound is what a body may bring whose size its source does not tell, however
// small the version is said to be: that may be wrong.
const leastBound = 64 << 20

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
		return &failure.BoundlessError{Got: got, Most: most}
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
	_, boundless := errors.AsType[*failure.BoundlessError](err)
	got := t.segs.Have()
	if full := errors.Is(err, failure.ErrNoSpace) && !told; got == 0 || !boundless && !full {
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
	return &failure.BoundlessError{Got: got}
}

// makeRoom empties the partial of a file whose size nobody tells where the pass ends
// because the disk is full: it may be what fills it, and the next pass would begin
// with a full disk.
func (t *transfer) makeRoom(ctx context.Context) error {
	t.mu.Lock()
	told := t.meta.Size >= 0
	t.mu.Unlock()
	if told || t.segs.Have() == 0 || !errors.Is(context.Cause(ctx), failure.ErrNoSpace) {
		return nil
	}
	return t.discard(ctx, "the disk is full, and nobody says how long the file is")
}
