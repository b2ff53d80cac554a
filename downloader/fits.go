package downloader

import (
	"context"
	"errors"
	"syscall"

	"mimicsync/downloader/failure"
	"mimicsync/store"
)

// checkSpace refuses a pass that can't fit on the disk, if the sizes are known.
func (p *pass) checkSpace(ctx context.Context) error {
	if p.published == 0 || p.plan.Fetch == 0 || p.plan.Examine > 0 {
		return nil // files to examine are on the disk, and how many bytes of them are right is unknown
	}
	space, err := p.s.Tree.Free()
	if err != nil || space.Total == 0 || p.left() <= space.Bytes {
		return nil // if free space is unknown, a full disk is noticed when it happens
	}
	linkable, err := p.linkable(ctx)
	if err != nil || p.left()-linkable <= space.Bytes {
		return err
	}
	if err := p.askSizeAgain(ctx); err != nil || p.left()-linkable <= space.Bytes {
		return err
	}
	return &failure.SpaceError{Need: p.left() - linkable, Free: space.Bytes, Published: p.published}
}

// left is how many bytes remain to fetch, by the published size.
func (p *pass) left() int64 { return p.published - p.plan.PresentBytes - p.s.Tree.PartialsOnDisk() }

// askSizeAgain asks for the published size again before the pass is refused for it: the
// first answer may have been wrong.
func (p *pass) askSizeAgain(ctx context.Context) error {
	size := (&publishedSize{p: p, from: p.s.authority()}).fetch(ctx)
	if size == 0 || size == p.published {
		return nil
	}
	v := p.version
	v.Bytes = size
	var err error
	p.version, err = p.s.Store.PutVersion(v)
	p.expect(size - p.published)
	p.published, p.plan.PublishedBytes = size, size
	return err
}

// spaceError adds to an error of a full disk how much space is missing, and returns other
// errors unchanged. left is what remained to write, 0 if unknown.
func (p *pass) spaceError(err error, left int64) error {
	if _, ok := errors.AsType[*failure.SpaceError](err); ok || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	if _, ok := errors.AsType[*store.Error](err); ok {
		return err // the disk of the state is full, which may be another one
	}
	e := &failure.SpaceError{Err: err}
	if space, serr := p.s.Tree.Free(); serr == nil {
		e.Free, e.Inodes = space.Bytes, space.Inodes == 0
	}
	if p.published > 0 {
		p.tally.mu.Lock()
		b := p.tally.report.Bytes
		p.tally.mu.Unlock()
		left = max(left, p.published-b.Present-b.Adopted-b.Linked-b.Fetched)
	}
	e.Need = left
	return e
}
