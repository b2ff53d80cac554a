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
	"mimicsync/downloader/retry"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// defaultPatience is that of Options: enough for the restart of a server, and no longer
// than a person accepts to wait after a possible typo.
const defaultPatience = time.Minute

// leastKept is how many tenths of the entries of the manifest in force a new one must have
// to be accepted unasked.
const leastKept = 9

// renewManifest asks the authority whether the manifest in force is still the published
// one, and accepts a new one if it is complete. If the authority can't be reached, its last
// manifest stays in force; if there is none, the other sources are asked, and the report
// says so. A manifest that arrived and is unusable isn't replaced by that of a copy.
// Afterwards p.version is the version in force.
func (p *pass) renewManifest(ctx context.Context) error {
	v, known, err := p.s.Store.Version(p.ref)
	if err != nil {
		return err
	}
	if known {
		p.version = v // for the history, if this fails
	}
	v.Ref = p.ref
	p.acceptManifest = p.s.takeAcceptance(p.ref)
	var former store.Manifest // in force; zero if there is none
	if known {
		_, err := p.s.kept(p.ref)
		_, lost := errors.AsType[*failure.KeptManifestError](err)
		switch {
		case err == nil:
			former = v.Manifest
		case !lost:
			return err
		}
	}
	authority := p.s.authority()
	p.size = &publishedSize{p: p, from: authority}
	defer p.size.end()
	err = p.askManifest(ctx, authority, former, &v)
	unheard := err
	if err != nil && ctx.Err() == nil && isUnheard(err) {
		err = p.manifestElsewhere(ctx, former, &v, err)
	}
	switch {
	case errors.Is(err, failure.ErrManifest) && former.Entries > 0:
		return fmt.Errorf("%w; the manifest fetched on %s stays in force", err, v.Manifest.Fetched.Local().Format(time.DateOnly))
	case err != nil:
		return err
	}
	if unheard != nil {
		p.tally.report.AuthorityErr = unheard
		p.s.Logger.WarnContext(ctx, "the manifest is not the authority's of today", "dataset", p.ref.String(), "from", v.Manifest.Source,
			"fetched", v.Manifest.Fetched, "err", unheard)
	} else if v.Bytes == 0 && !p.isDone(former, v.Manifest) {
		v.Bytes = p.size.get(ctx)
	}
	if known && v.Manifest.Digest != former.Digest {
		if err := p.tellRemoved(former.Digest, v.Manifest.Digest); err != nil {
			return err
		}
	}
	if p.version, err = p.s.Store.PutVersion(v); err != nil {
		return err
	}
	if known && p.version.Manifest.Digest != former.Digest {
		for _, c := range p.sources {
			c.Health.Renewed(p.ref)
		}
	}
	if p.selection.All() {
		p.published = p.version.Bytes
	}
	return nil
}

// isDone reports whether the mirror had everything of the manifest in force, as far as its
// last pass selected it: then the size is not needed, and a refresh is one request.
func (p *pass) isDone(former, inForce store.Manifest) bool {
	last, err := p.s.Store.Passes(p.ref, 1)
	return err == nil && former.Digest == inForce.Digest && len(last) > 0 && last[0].State == store.Complete
}

// isUnheard reports whether no manifest arrived, so that another source may be asked for
// it.
func isUnheard(err error) bool {
	v, reason := retry.Classify(err)
	return v != retry.Fatal && reason != failure.ReasonIO && (!errors.Is(err, failure.ErrManifest) || errors.Is(err, source.ErrNotExist))
}

// manifestElsewhere finds a manifest after the authority failed for the reason err, which
// is the error if there is none.
func (p *pass) manifestElsewhere(ctx context.Context, former store.Manifest, v *store.Version, err error) error {
	authority := p.s.authority().Name()
	var others []host.Source
	for _, c := range p.sources {
		switch c.Name() {
		case authority:
		case former.Source: // that of another source may be older
			others = slices.Insert(others, 0, c.Source)
		default:
			others = append(others, c.Source)
		}
	}
	if len(others) > 0 && former.Source == authority {
		return nil
	}
	for _, b := range others {
		oerr := p.askManifest(ctx, b, former, v)
		if oerr == nil || ctx.Err() != nil || !isUnheard(oerr) && !errors.Is(oerr, failure.ErrManifest) {
			return oerr
		}
		err = fmt.Errorf("%w\n%s", err, miss{b.Name(), oerr}) // for the reader; what counts is the authority's error
	}
	return err
}

// askManifest asks a source for the manifest, with the patience of a person waiting for it.
// It changes v if the manifest differs from former.
func (p *pass) askManifest(ctx context.Context, b host.Source, former store.Manifest, v *store.Version) error {
	request := p.manifestRequest(b, former)
	patience := p.s.patienceFor(b, p.ref)
	defer p.progress.Met(b.Name(), manifest.Name)
	err := patience.Persist(ctx, func() (bool, error) {
		return false, p.fetchManifest(ctx, b, request, v)
	}, func(err error, wait time.Duration) {
		p.retried(b.Name())
		p.progress.Await(progress.Wait{For: b.Name(), Object: manifest.Name, Why: oneLine(err.Error()), Until: time.Now().Add(wait)})
		p.s.Logger.WarnContext(ctx, "retry", "dataset", p.ref.String(), "object", manifest.Name, "from", b.Name(), "wait", wait, "err", err)
	})
	switch {
	case err == nil, errors.Is(err, source.ErrNotModified):
		b.Health.List(b.Name(), p.ref)
		return nil
	case errors.Is(err, source.ErrNotExist):
		return fmt.Errorf("%w: %s has no %s for %s: %w", failure.ErrManifest, b.Name(), manifest.Name, p.ref, err)
	}
	return err
}

// patienceFor is the patience for what a pass needs to start: it ends by the clock, not
// after a number of tries.
func (s *Syncer) patienceFor(b host.Source, ref manifest.Ref) *retry.Patience {
	patience := retry.NewPatience(b.Budget, b.Health)
	patience.Outage, patience.ByClock = s.Patience, true
	patience.MaxInterval = 15 * time.Second
	patience.Served = func() bool { return b.Health.LetIn(b.Name(), ref) }
	return patience
}

// manifestRequest asks for the manifest if it differs from known, or unconditionally if
// known is in doubt.
func (p *pass) manifestRequest(b host.Source, known store.Manifest) source.Request {
	r := source.Request{Ref: p.ref, Path: manifest.Name}
	if known.Source == b.Name() && !p.isDoubted(known) {
		r.NoneMatch = known.Validator
	}
	return r
}

// publishedSize asks for the size of the version while its manifest arrives. A pass works
// without it.
type publishedSize struct {
	p      *pass
	from   host.Source
	asking sync.WaitGroup
	once   sync.Once
	cancel context.CancelFunc // nil until it is asked
	answer int64
}

// ask starts the request, the first time. ctx is that of the step that fetches the
// manifest, not that of the request.
func (z *publishedSize) ask(ctx context.Context) {
	z.once.Do(func() {
		asked, cancel := context.WithCancel(ctx)
		z.cancel = cancel
		z.asking.Go(func() { z.answer = z.fetch(asked) })
	})
}

// get returns the size; 0 if unknown.
func (z *publishedSize) get(ctx context.Context) int64 {
	z.ask(ctx)
	z.asking.Wait()
	return z.answer
}

// end cancels the request, if there is one.
func (z *publishedSize) end() {
	if z.cancel != nil {
		z.cancel()
	}
	z.asking.Wait()
}

func (z *publishedSize) fetch(step context.Context) int64 {
	publisher, ok := z.from.Source.(source.Publisher)
	if !ok {
		return 0
	}
	ctx, dog := host.Watch(step, min(z.p.s.IdleTimeout, 15*time.Second))
	defer dog.End()
	dog.Source = z.p.progress.Request(z.from.Name())
	n, err := publisher.PublishedSize(ctx, z.p.ref)
	z.p.progress.Ended(dog.Source)
	z.p.s.answered(z.from.Name(), err)
	if err != nil && step.Err() == nil {
		z.p.s.Logger.WarnContext(ctx, "no published size", "dataset", z.p.ref.String(), "err", err)
	}
	if err != nil {
		return 0
	}
	return n
}

// fetchManifest fetches the manifest into its place among the kept ones and checks it from
// end to end; v.Manifest is set only if it is complete.
func (p *pass) fetchManifest(ctx context.Context, b host.Source, request source.Request, v *store.Version) (err error) {
	if err := b.Budget.Acquire(ctx); err != nil {
		return err
	}
	step := ctx
	ctx, dog := host.Watch(ctx, p.s.IdleTimeout)
	defer dog.End()
	dog.Source = p.progress.Request(b.Name())
	received := &heardReader{}
	defer func() {
		p.progress.Ended(dog.Source)
		p.s.Observer.Received(b.Name(), received.n)
		p.s.release(b, err)
	}()
	object, err := b.Open(ctx, request)
	if err != nil {
		return err
	}
	defer func() { _ = object.Body.Close() }() // judged by length
	if v.Bytes == 0 && b.Name() == p.size.from.Name() {
		p.size.ask(step)
	}
	received.r, received.dog, received.begun = object.Body, dog, time.Now()
	return p.takeManifest(ctx, received, v, b.Name(), object)
}

// latest stands for the newest version where a Wait names its object.
const latest = "latest"

// Resolve replaces "latest" by the newest version, which it asks the authority for.
// progress, which may be nil, shows what it waits for.
func (s *Syncer) Resolve(ctx context.Context, ref manifest.Ref, seen *progress.Progress) (manifest.Ref, error) {
	b := s.authority()
	publisher, ok := b.Source.(source.Publisher)
	if ref.Version != "" {
		return ref, nil
	}
	if !ok {
		return ref, fmt.Errorf("%s cannot say which version of %s is the newest; name one, as in %s@1.0", b.Name(), ref.Dataset, ref.Dataset)
	}
	patience := s.patienceFor(b, ref)
	seen.Asks(b, host.Hosts(s.Sources))
	defer seen.Met(b.Name(), latest)
	err := patience.Persist(ctx, func() (_ bool, err error) {
		if err := b.Budget.Acquire(ctx); err != nil {
			return false, err
		}
		defer func() { s.release(b, err) }()
		watched, dog := host.Watch(ctx, s.IdleTimeout)
		defer dog.End()
		dog.Source = seen.Request(b.Name())
		defer seen.Ended(dog.Source)
		ref.Version, err = publisher.Latest(watched, ref.Dataset)
		return false, err
	}, func(err error, wait time.Duration) {
		s.Observer.Retried(b.Name())
		seen.Retried()
		seen.Await(progress.Wait{For: b.Name(), Object: latest, Why: oneLine(err.Error()), Until: time.Now().Add(wait)})
		s.Logger.WarnContext(ctx, "retry", "dataset", ref.Dataset, "from", b.Name(), "wait", wait, "err", err)
	})
	return ref, err
}
