package downloader

import (
	"context"
	"fmt"
	"slices"

	"mimicsync/downloader/failure"
	"mimicsync/manifest"
)

// feedFetches streams the entries to fetch: first those whose transfers began in an earlier
// pass, the big ones, then the others in the order of the manifest. A big one that comes
// late doesn't leave a long tail, because idle workers help with it.
func (p *pass) feedFetches(ctx context.Context, to chan<- manifest.Entry) error {
	rest := p.fetches
	if p.s.hasPartials() {
		rest = slices.Clone(p.fetches)
		if err := p.each(p.fetches, func(i int64, e manifest.Entry) error {
			if !p.s.hasPartial(e.Digest) {
				return nil
			}
			rest.Unset(i)
			return p.offer(ctx, to, e)
		}); err != nil {
			return err
		}
	}
	return p.each(rest, func(_ int64, e manifest.Entry) error { return p.offer(ctx, to, e) })
}

// offer sends an entry to a worker. From then on it counts as owned, so that no worker
// leaves that may have to help with it.
func (p *pass) offer(ctx context.Context, to chan<- manifest.Entry, e manifest.Entry) error {
	p.crowd.own(1)
	err := hand(ctx, to, e)
	if err != nil {
		p.crowd.own(-1)
	}
	return err
}

// feed streams the entries of a set to a channel.
func (p *pass) feed(ctx context.Context, set manifest.Marks, to chan<- manifest.Entry) error {
	return p.each(set, func(_ int64, e manifest.Entry) error { return hand(ctx, to, e) })
}

func hand(ctx context.Context, to chan<- manifest.Entry, e manifest.Entry) error {
	select {
	case to <- e:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// each reads the entries of a set from the manifest, with their indexes.
func (p *pass) each(set manifest.Marks, visit func(int64, manifest.Entry) error) error {
	f, err := p.openManifest()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	r := manifest.NewReader(f)
	for i := range p.version.Manifest.Entries {
		e, err := r.Next()
		if err != nil {
			return fmt.Errorf("%w: %w", failure.ErrManifest, err)
		}
		if !set.Has(i) {
			continue
		}
		if err := visit(i, e); err != nil {
			return err
		}
	}
	return nil
}
