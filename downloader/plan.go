package downloader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/segment"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// listingTime is how long a plan waits for a listing.
const listingTime = time.Minute

// Plan fetches the manifest, compares it with the mirror and says what Pull would do. It
// fetches no data and leaves the folder of the version alone; the manifest stays in
// .mimicsync and is in force. Sources that can are asked for a listing.
func (s *Syncer) Plan(ctx context.Context, ref manifest.Ref, selection manifest.Selection) (*report.Plan, error) {
	return s.PlanFrom(ctx, nil, ref, selection, new(progress.Progress))
}

// PlanFrom is Plan for PullFrom; progress shows what it waits for.
func (s *Syncer) PlanFrom(ctx context.Context, sources []string, ref manifest.Ref, selection manifest.Selection, progress *progress.Progress) (*report.Plan, error) {
	return s.plan(ctx, sources, ref, selection, progress, (*pass).renewManifest)
}

// PlanAsKnown is PlanFrom with the manifest in force, and therefore safe while a pass over
// the version runs. Without a manifest the error is ErrNoManifest.
func (s *Syncer) PlanAsKnown(ctx context.Context, sources []string, ref manifest.Ref, selection manifest.Selection) (*report.Plan, error) {
	return s.plan(ctx, sources, ref, selection, new(progress.Progress), (*pass).takeKnown)
}

func (s *Syncer) plan(ctx context.Context, sources []string, ref manifest.Ref, selection manifest.Selection, progress *progress.Progress,
	getManifest func(*pass, context.Context) error,
) (*report.Plan, error) {
	chosen, err := s.choose(sources)
	if err != nil {
		return nil, err
	}
	p, ctx := s.newPass(ctx, chosen, ref, selection, progress)
	defer p.cancel(nil)
	if err := getManifest(p, ctx); err != nil {
		return nil, err
	}
	if err := p.compare(ctx); err != nil {
		return nil, err
	}
	if err := p.markLinks(ctx); err != nil {
		return nil, err
	}
	for _, c := range p.sources {
		estimate, err := p.estimate(ctx, c)
		if err != nil {
			return nil, err
		}
		p.plan.Sources = append(p.plan.Sources, estimate)
	}
	p.plan.Free, err = s.Tree.Free()
	return &p.plan, err
}

// takeKnown uses the manifest in force.
func (p *pass) takeKnown(context.Context) (err error) {
	if p.version, err = p.s.known(p.ref); p.selection.All() {
		p.published = p.version.Bytes
	}
	return err
}

// estimate says what fetching from a source would take.
func (p *pass) estimate(ctx context.Context, c *candidate) (report.SourcePlan, error) {
	e := report.SourcePlan{Name: c.Name(), Files: p.plan.Fetch + p.plan.Examine, Price: c.price}
	e.Bytes, e.Basis = p.bytesToFetch()
	if e.Files > 0 {
		if err := p.askSource(ctx, c, &e); err != nil {
			return e, err
		}
	}
	if err := p.predict(&e); err != nil {
		return e, err
	}
	e.Cost = -1
	if e.Refused == nil && (e.Bytes >= 0 || e.Price.IsFree()) {
		e.Cost = e.Price.Cost(e.Bytes, e.Files+e.Bytes/segment.LargestPiece)
	}
	return e, nil
}

// bytesToFetch derives the bytes to fetch from PhysioNet's size; -1 if that is unknown.
func (p *pass) bytesToFetch() (int64, report.Basis) {
	missing, all := p.plan.Fetch+p.plan.Examine, p.version.Manifest.Entries
	size := max(p.version.Bytes-p.version.Manifest.Size, 0) // of the entries
	switch {
	case missing == 0:
		return 0, report.BasisPublished
	case p.published > 0:
		return max(size-p.plan.PresentBytes-p.plan.LinkBytes-p.started(), 0), report.BasisPublished
	case p.version.Bytes > 0 && all > 0:
		return int64(float64(size) / float64(all) * float64(missing)), report.BasisShare
	}
	return -1, report.BasisUnknown
}

// started is how many bytes of the files to fetch have arrived, if no partial can belong to
// another file.
func (p *pass) started() int64 {
	if !p.selection.All() {
		return 0
	}
	return p.s.partialBytes(p.ref)
}

// askSource finds out what a source would serve: by its listing, if it has one, and by
// whether it lets us read.
func (p *pass) askSource(ctx context.Context, c *candidate, e *report.SourcePlan) error {
	var refused *source.AccessError
	lister, lists := c.Source.Source.(source.Lister)
	switch unheard := p.tally.report.AuthorityErr; {
	case lists:
		if err := p.askListing(ctx, c, lister, e); err != nil {
			return err
		}
		if e.Unlisted != nil {
			e.Bytes, e.Basis = -1, report.BasisUnknown
			return nil
		}
		if err := p.mayRead(ctx, c); ctx.Err() != nil {
			return context.Cause(ctx)
		} else if !errors.As(err, &refused) {
			return nil
		}
	case c.Name() != p.s.authority().Name() || !errors.As(unheard, &refused):
		return nil // the source of the manifest serves the rest
	}
	e.Refused, e.Bytes, e.Basis = refused, -1, report.BasisUnknown
	e.Files, e.Lacks = 0, 0
	return nil
}

// mayRead requests the first byte of the manifest: permission to list says nothing about
// permission to read.
func (p *pass) mayRead(ctx context.Context, c *candidate) error {
	ctx, stop := context.WithTimeout(ctx, listingTime)
	defer stop()
	if err := c.Budget.Acquire(ctx); err != nil {
		return err
	}
	object, err := c.Open(ctx, source.Request{Ref: p.ref, Path: manifest.Name, Length: 1})
	if err == nil {
		_, _ = io.CopyN(io.Discard, object.Body, 2) // so that the connection can be reused
		_ = object.Body.Close()                     // that it arrived is the answer
	}
	p.s.release(c.Source, err)
	return err
}

// askListing takes the sizes from the source's listing. If that is refused or takes too
// long, e stays unchanged, and notes the trouble.
func (p *pass) askListing(ctx context.Context, c *candidate, lister source.Lister, e *report.SourcePlan) error {
	wanted, err := p.wanted()
	if err != nil {
		return err
	}
	listing, stop := context.WithTimeout(ctx, listingTime)
	defer stop()
	if err := c.Budget.Acquire(listing); err != nil {
		return context.Cause(ctx) // nil if transfers hold all connections
	}
	var listed, files, bytes int64
	for object, lerr := range lister.List(listing, p.ref) {
		if err = lerr; err != nil {
			break
		}
		listed++
		if wanted.Has(object.Path) {
			files, bytes = files+1, bytes+object.Size
		}
	}
	p.s.release(c.Source, err)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		e.Lacks, e.Files = max(e.Files-files, 0), min(files, e.Files)
		e.Bytes, e.Basis = max(bytes-p.started(), 0), report.BasisListing
		return nil
	}
	p.s.Logger.WarnContext(ctx, "no listing", "dataset", p.ref.String(), "from", c.Name(), "err", err)
	_, refused := errors.AsType[*source.AccessError](err)
	switch {
	case refused, listing.Err() != nil && listed > 0: // a long listing is no error
	case listing.Err() != nil:
		e.Unlisted = fmt.Errorf("%w: no listing came in %s", failure.ErrStalled, listingTime)
	default:
		e.Unlisted = err
	}
	return nil
}

// wanted is the set of the paths to fetch and to examine.
func (p *pass) wanted() (*manifest.PathSet, error) {
	f, err := p.openManifest()
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	set := manifest.NewPathSet(p.plan.Fetch + p.plan.Examine)
	r := manifest.NewReader(f)
	for i := int64(0); ; i++ {
		e, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return set, nil
		case err != nil:
			return nil, errors.Join(failure.ErrManifest, err)
		case p.fetches.Has(i) || p.examines.Has(i):
			set.Add(e.Path)
		}
	}
}
