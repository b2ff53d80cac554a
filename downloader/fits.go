package downloader

import (
	"context"

	"mimicsync/downloader/failure"
)

// checkSpace refuses to start what cannot end, where the sizes are known.
func (p *pass) checkSpace(ctx context.Context) error {
	if p.published == 0 || p.plan.Fetch == 0 || p.plan.Examine > 0 {
		return nil // files to examine are on the disk already, nobody knows how much of them counts
	}
	space, err := p.s.Tree.Free()
	if err != nil || space.Total == 0 || p.left() <= space.Bytes {
		return nil //nolint:nilerr // a disk that does not tell its room is found full when it is
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

// left is how many bytes are still to come, by the published size.
func (p *pass) left() int64 { return p.published - p.plan.PresentBytes - p.s.Tree.PartialsOnDisk() }

// askSizeAgain asks for the published size once more, where the pass would not start
// for it: what was said once may have been wrong.
func (p *pass) askSizeAgain(ctx context.Context) error {
	size := (&publishedSize{p: p, ctx: ctx, from: p.s.authority()}).fetch() //nolint:contextcheck // it has ctx
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
