package downloader

import (
	"context"
	"errors"

	"mimicsync/downloader/failure"
)

// leastBound is the least limit on a body of unknown size, because a small published size
// may be wrong.
const leastBound = 64 << 20

// bound is the most that a body of unknown size may deliver; 0 if even the published size,
// which is rounded, is unknown.
func (p *pass) bound() int64 {
	if p.published == 0 {
		return 0
	}
	return max(2*p.published, leastBound)
}

// withinBound returns an error if a body of unknown size has delivered too much.
func (t *transfer) withinBound(got int64) error {
	if most := t.p.bound(); most > 0 && got > most {
		return &failure.BoundlessError{Got: got, Most: most}
	}
	return nil
}

// dropBoundless empties the partial of a file that went on without end, to free the disk
// for others, and returns the error for it. If the disk is full of other files, that is the
// error.
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

// makeRoom empties the partial of a file of unknown size when the pass ends with a full
// disk: it may be what fills the disk, and the next pass would start with a full one.
func (t *transfer) makeRoom(ctx context.Context) error {
	t.mu.Lock()
	told := t.meta.Size >= 0
	t.mu.Unlock()
	if told || t.segs.Have() == 0 || !errors.Is(context.Cause(ctx), failure.ErrNoSpace) {
		return nil
	}
	return t.discard(ctx, "the disk is full, and the size of the file is unknown")
}
