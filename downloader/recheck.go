package downloader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

const (
	// suspicious is how many wrong or missing files make a pass ask whether its manifest is
	// still the published one: authors fix versions in place, and remove files.
	suspicious = 2
	// recheckAfter is how long the answer is believed. Before an entry is given up the
	// manifest is asked for again, at most once per lastRecheck for all entries.
	recheckAfter = time.Minute
	lastRecheck  = time.Second
	// maxRenewals is how often a pass starts over with a renewed manifest.
	maxRenewals = 5
)

// errRenewed ends the transfers of a pass whose manifest is no longer the published one.
// Verified files and partials stay.
var errRenewed = errors.New("the manifest was replaced by a new one")

// doubts are doubts about the manifest of a pass. Safe for concurrent use.
type doubts struct {
	mu       sync.Mutex
	wrong    int           // wrong digests and missing files
	asked    time.Time     // when the manifest was last asked for; zero if never
	believed time.Duration // how long that answer is believed
}

// mayAsk reports whether to ask for the manifest after another wrong digest or missing
// file; last means that the entry would be given up for it.
func (d *doubts) mayAsk(last bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wrong++
	believed := d.believed
	if last {
		believed = min(believed, lastRecheck)
	}
	if d.wrong < suspicious || !d.asked.IsZero() && time.Since(d.asked) < believed {
		return false
	}
	d.asked, d.believed = time.Now(), recheckAfter
	return true
}

// inherit continues from a pass whose manifest was renewed for the n-th time. A manifest
// that just changed may change again, so it is asked for soon, and then less and less
// often: a server may take minutes to serve one edition consistently. If the former
// manifest was in doubt, the next one is requested unconditionally.
func (d *doubts) inherit(before *doubts, n int) {
	d.asked, d.believed, d.wrong = time.Now(), time.Second<<(n-1), min(before.wrong, 1)
}

// doubtManifest is called after a wrong digest or a missing file. After several, or if the
// entry would be given up for it (last), it asks the authority whether the manifest is
// still the one in force; if not, the pass ends with errRenewed, and starts over.
func (p *pass) doubtManifest(ctx context.Context, last bool) {
	if !p.doubts.mayAsk(last) {
		return
	}
	v, authority := p.version, p.s.authority()
	err := p.fetchManifest(ctx, authority, p.manifestRequest(authority, v.Manifest), &v)
	switch {
	case ctx.Err() != nil:
	case err == nil && v.Manifest.Digest == p.version.Manifest.Digest:
		if _, err := p.s.Store.PutVersion(v); err != nil { // that it was confirmed
			p.stop(err)
		}
	case err == nil && v.Manifest.Digest != p.version.Manifest.Digest:
		p.s.Logger.WarnContext(ctx, "the manifest was replaced by a new one", "dataset", p.ref.String(), "entries", v.Manifest.Entries)
		p.stop(errRenewed)
	case err != nil && !errors.Is(err, source.ErrNotModified):
		p.s.Logger.WarnContext(ctx, "the manifest cannot be compared", "dataset", p.ref.String(), "err", err)
	}
}

// takeOver makes a pass continue where another one ended with errRenewed, as the
// renewals-th one.
func (p *pass) takeOver(before *pass, renewals int) {
	p.start, p.spent = before.start, before.spent
	p.doubts.inherit(&before.doubts, renewals)
	earlier := before.tally.report
	if e := before.earlier; e != nil {
		earlier.Quarantined = slices.Concat(e.Quarantined, earlier.Quarantined)
		f, of := &earlier.Files, e.Files
		f.Fetched, f.Adopted, f.Linked = f.Fetched+of.Fetched, f.Adopted+of.Adopted, f.Linked+of.Linked
		b, ob := &earlier.Bytes, e.Bytes
		b.Fetched, b.Adopted, b.Linked, b.Discarded = b.Fetched+ob.Fetched, b.Adopted+ob.Adopted, b.Linked+ob.Linked, b.Discarded+ob.Discarded
	}
	p.earlier = &earlier
	for i, c := range before.sources {
		p.sources[i].report.Files, p.sources[i].report.Bytes = c.report.Files, c.report.Bytes
		p.sources[i].bill.TakeOver(&c.bill)
	}
	p.progress.Done.Store(0)
	p.progress.Failed.Store(0)
}

// pullOnce runs a pass, and those that take over from it.
func (s *Syncer) pullOnce(ctx context.Context, chosen []host.Source, ref manifest.Ref, selection manifest.Selection, progress *progress.Progress) (*pass, error) {
	var before *pass
	for renewals := 0; ; renewals++ {
		p, pctx := s.newPass(ctx, chosen, ref, selection, progress)
		if before != nil {
			p.takeOver(before, renewals)
		}
		err := p.run(pctx)
		p.cancel(nil)
		if !errors.Is(err, errRenewed) {
			return p, err
		}
		if renewals == maxRenewals {
			return p, fmt.Errorf("%w: it was replaced %d times", failure.ErrManifestChanges, renewals)
		}
		before = p
	}
}

// run does the work of a pass, up to its report.
func (p *pass) run(ctx context.Context) error {
	err := p.prepare(ctx)
	if err == nil {
		err = p.checkSpace(ctx)
	}
	if err == nil {
		err = p.checkCost(ctx)
	}
	if err == nil {
		err = p.transfer(ctx)
	}
	if err == nil {
		err = p.checkFinished()
	}
	if ctx.Err() != nil && err != nil {
		err = context.Cause(ctx)
		if errors.Is(err, context.Canceled) {
			err = failure.ErrInterrupted
		}
	}
	return p.spaceError(err, 0)
}

// freshManifest is how young a manifest must be to be doubted for the total size it lists:
// it is written while the version is being published.
const freshManifest = 6 * time.Hour

// checkFinished compares the total size that a fresh manifest lists with the size of the
// version: a manifest cut at a line end looks complete.
func (p *pass) checkFinished() error {
	p.tally.mu.Lock()
	defer p.tally.mu.Unlock()
	m, r := p.version.Manifest, p.tally.report
	made := m.Modified
	if made.IsZero() {
		made = m.Fetched
	}
	if p.published == 0 || r.Files.Failed > 0 || time.Since(made) > freshManifest {
		return nil
	}
	listed := m.Size + r.Bytes.Present + r.Bytes.Adopted + r.Bytes.Linked + r.Bytes.Fetched
	if listed/9*10 >= p.published {
		return nil
	}
	return &failure.UnfinishedManifestError{Ref: p.ref, Listed: listed, Published: p.published}
}

// Look asks the named sources, or all, for the manifest of a version, or for the newest
// version if ref has none: one request each, until one succeeds. The error is that of the
// last source. It changes nothing: a daemon uses it to notice that a person has signed an
// agreement.
func (s *Syncer) Look(ctx context.Context, sources []string, ref manifest.Ref) error {
	chosen, err := s.choose(sources)
	if err != nil {
		return err
	}
	for _, b := range chosen {
		if err = s.lookAt(ctx, b, ref); err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

func (s *Syncer) lookAt(ctx context.Context, b host.Source, ref manifest.Ref) (err error) {
	if err := b.Budget.Acquire(ctx); err != nil {
		return err
	}
	defer func() { s.release(b, err) }()
	ctx, dog := host.Watch(ctx, s.IdleTimeout)
	defer dog.End()
	if publisher, ok := b.Source.(source.Publisher); ok && ref.Version == "" {
		_, err = publisher.Latest(ctx, ref.Dataset)
		return err
	}
	request := source.Request{Ref: ref, Path: manifest.Name}
	if v, err := s.known(ref); err == nil && v.Manifest.Source == b.Name() {
		request.NoneMatch = v.Manifest.Validator
	}
	object, err := b.Open(ctx, request)
	switch {
	case errors.Is(err, source.ErrNotModified):
		return nil
	case err != nil:
		return err
	}
	return object.Body.Close() // that it arrived is the answer
}
