package downloader

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"

	"mimicsync/downloader/copies"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/retry"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// pass is one pass over one dataset version: see the package comment.
type pass struct {
	s         *Syncer
	ref       manifest.Ref
	selection manifest.Selection
	progress  *progress.Progress
	start     time.Time
	transfers time.Time // when the first transfer could start, zero if there was none

	version store.Version
	// acceptManifest accepts the published manifest even if it lists far fewer entries,
	// see failure.ShrunkError.
	acceptManifest bool
	size           *publishedSize
	published      int64 // bytes of the version if all of it is selected, 0 when unknown

	sources     []*candidate // in order of preference
	plan        report.Plan
	fetches     manifest.Marks // entries to obtain, by index
	examines    manifest.Marks // entries to examine
	checkpoints *checkpoints
	committer   *committer
	links       linker
	crowd       *crowd
	tally       tally
	throttle    *throttle      // limits reading the mirror; nil means no limit
	spent       *spending      // counts toward MaxTransfer and MaxCost
	doubts      doubts         // about the manifest
	earlier     *report.Report // of the passes that this one replaced, nil if there is none
	cancel      context.CancelCauseFunc
	room        pace.Room
	scarce      atomic.Int64 // when the log last mentioned too many open files, in Unix seconds
}

// Pull makes the selected entries of ref in the mirror match its manifest. It always
// returns a report. The error says why the pass ended early; it is nil if the pass
// finished, even if single entries failed. Cancel ctx with failure.ErrInterrupted to
// stop in good order.
func (s *Syncer) Pull(ctx context.Context, ref manifest.Ref, selection manifest.Selection, progress *progress.Progress) (*report.Report, error) {
	return s.PullFrom(ctx, nil, ref, selection, progress)
}

// PullFrom is Pull from the named sources, in this order; without names, from all of
// Options.Sources. An unknown or repeated name is an error that wraps
// failure.ErrSources.
func (s *Syncer) PullFrom(ctx context.Context, sources []string, ref manifest.Ref, selection manifest.Selection, watched *progress.Progress) (*report.Report, error) {
	chosen, err := s.choose(sources)
	if err != nil {
		return &report.Report{Dataset: ref.Dataset, Version: ref.Version, State: store.Failed, Err: err}, err
	}
	p, err := s.pullOnce(ctx, chosen, ref, selection, watched)
	report := p.close(err)
	p.progress.Enter(progress.PhaseEnd)
	switch {
	case p.version.ID == 0, errors.Is(err, store.ErrLocked): // the mirror and its history belong to another process
	case errors.Is(err, failure.ErrNothingSelected): // a typo tells nothing about the version
	default:
		err = errors.Join(err, p.writeHistory(report), p.noteRates(), p.tidy(report))
	}
	return report, err
}

func (s *Syncer) newPass(ctx context.Context, sources []host.Source, ref manifest.Ref, selection manifest.Selection, progress *progress.Progress) (*pass, context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	p := &pass{
		s: s, ref: ref, selection: selection, progress: progress, start: time.Now(), sources: newCandidates(sources, ref),
		checkpoints: newCheckpoints(), crowd: newCrowd(), spent: &s.spent, cancel: cancel,
	}
	if s.LimitEachPass {
		p.spent = new(spending)
	}
	p.links = linker{copies.Finder{Store: s.Store, Tree: s.Tree}, p}
	progress.Asks(s.authority(), host.Hosts(sources))
	p.tally.report.Dataset, p.tally.report.Version = ref.Dataset, ref.Version
	return p, ctx
}

// prepare fetches the manifest if it has changed, puts it into the version's folder, and
// compares it with the mirror.
func (p *pass) prepare(ctx context.Context) error {
	p.progress.Enter(progress.PhaseManifest)
	if err := p.renewManifest(ctx); err != nil {
		return err
	}
	if err := p.s.Tree.SymlinkAt(tree.VersionDir(p.ref), false); err != nil {
		return err
	}
	if err := p.s.Tree.ShowManifest(p.version.Manifest.Digest, p.ref); err != nil {
		return err
	}
	if err := p.compare(ctx); err != nil {
		return err
	}
	return p.rememberSelection()
}

// rememberSelection keeps the patterns of this pass with the version, so that others can
// tell files that were never wanted from those that are missing. A list of lost files is
// no selection of the user's.
func (p *pass) rememberSelection() (err error) {
	if p.selection.IsList() || p.version.Selection != nil && p.version.Selection.Equal(p.selection.Globs()) {
		return nil
	}
	v := p.version
	globs := p.selection.Globs()
	v.Selection = &globs
	p.version, err = p.s.Store.PutVersion(v)
	return err
}

// compare surveys the mirror, counts the entries, and marks those to examine or fetch.
func (p *pass) compare(ctx context.Context) error {
	p.progress.Enter(progress.PhaseSurvey)
	n := p.version.Manifest.Entries
	p.fetches, p.examines = manifest.NewMarks(n), manifest.NewMarks(n)
	p.plan = report.Plan{Ref: p.ref, PublishedBytes: p.published}
	r := &p.tally.report
	for _, c := range p.version.Manifest.Conflicts {
		if !p.s.Tree.Collides(c) {
			r.Collisions = append(r.Collisions, c)
		}
	}
	err := p.survey(ctx, func(e *surveyed) error {
		p.plan.Total++
		switch e.standing {
		case present:
			r.Files.Present++
			r.Bytes.Present += e.record.Size
			p.progress.Done.Add(1)
			p.remember(e)
		case unknown:
			p.plan.Examine++
			p.examines.Set(e.index)
		case absent:
			p.plan.Fetch++
			p.fetches.Set(e.index)
		case unsafe, symlinked, conflict:
			p.plan.Unsafe++
			p.fail(e.Entry, e.why)
		}
		return nil
	})
	p.plan.Present, p.plan.PresentBytes = r.Files.Present, r.Bytes.Present
	r.Files.Total = p.plan.Total
	p.progress.Total.Store(p.plan.Total)
	p.expect(p.published - p.version.Manifest.Size - r.Bytes.Present)
	if err == nil && p.plan.Total == 0 && n > 0 && p.selection.HasPatterns() { // else a list of lost files, which the manifest no longer has
		err = fmt.Errorf("%w of the %s files of %s", failure.ErrNothingSelected, humanize.Comma(n), p.ref)
	}
	return err
}

// remember makes a file of the mirror a reference object for the host that served the
// manifest, see retry.Health.
func (p *pass) remember(e *surveyed) {
	authority := p.s.authority()
	if e.record.Size > 0 && p.version.Manifest.Source == authority.Name() && p.tally.report.AuthorityErr == nil {
		authority.Health.Present(authority.Name(), p.ref, e.Entry, e.record.Size)
	}
}

// expect adjusts the number of bytes that this pass is expected to fetch, if it is known.
func (p *pass) expect(more int64) {
	if p.published > 0 {
		p.progress.Expected.Add(more)
	}
}

// transfer examines, obtains and commits what the survey found, in these goroutines:
//
//	feed → examine workers → obtain workers → committer
//	feed ↗
//
// Beside them run the checkpointer, the search for stragglers, and one that names
// partials that have waited long for their commit. Each stage ends after the one before
// it. An error that ends the pass cancels ctx; everything verified is still committed.
func (p *pass) transfer(ctx context.Context) error {
	if p.plan.Fetch+p.plan.Examine == 0 {
		return nil
	}
	p.progress.Enter(progress.PhaseTransfer)
	p.s.Tree.Forget() // someone may have moved folders since the last pass, or mounted a disk over one
	p.transfers = time.Now()
	defer p.links.Close()
	syncing, err := p.s.Tree.OpenSession()
	if err != nil {
		return err
	}
	defer syncing.Close()
	p.committer = newCommitter(p, syncing)
	committed := make(chan error, 1)
	go func() { committed <- p.committer.run() }() //nolint:contextcheck // verified files are committed even after ctx has ended
	stop, stopNaming := make(chan struct{}), make(chan struct{})
	var checkpointer, namer sync.WaitGroup
	checkpointer.Go(func() { p.runCheckpoints(stop) })
	namer.Go(func() { p.s.Tree.NameOld(stopNaming) })
	checkpointer.Go(func() { p.runStragglers(ctx, stop) })

	g, gctx := errgroup.WithContext(ctx)
	ceiling := p.connections()
	wanted, doubtful := make(chan manifest.Entry, ceiling), make(chan manifest.Entry)
	var feeders sync.WaitGroup // of wanted
	feeders.Add(1)
	g.Go(func() error {
		defer feeders.Done()
		return p.feedFetches(gctx, wanted)
	})
	g.Go(func() error {
		defer close(doubtful)
		return p.feed(gctx, p.examines, doubtful)
	})
	for range runtime.GOMAXPROCS(0) {
		feeders.Add(1)
		g.Go(func() error {
			defer feeders.Done()
			return p.runExaminer(gctx, doubtful, wanted)
		})
	}
	go func() {
		feeders.Wait()
		close(wanted)
	}()
	p.startFetchers(gctx, g, ceiling, wanted)
	err = g.Wait()
	close(stop)
	checkpointer.Wait()
	close(p.committer.in)
	cerr := <-committed
	close(stopNaming)
	namer.Wait()
	if cerr = errors.Join(cerr, p.rememberWrong()); cerr != nil {
		return cerr
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// startFetchers starts a worker for each connection, and spare workers that stand in for
// workers that wait to retry an entry.
func (p *pass) startFetchers(ctx context.Context, g *errgroup.Group, n int, wanted <-chan manifest.Entry) {
	var fetchers sync.WaitGroup
	fetchers.Add(n)
	for range n {
		g.Go(func() error {
			defer fetchers.Done()
			return p.runFetcher(ctx, wanted)
		})
	}
	over := make(chan struct{})
	go func() {
		fetchers.Wait()
		close(over)
	}()
	for range min(n, spareWorkers) {
		g.Go(func() error { return p.runSpare(ctx, wanted, over) })
	}
}

// obtain links or fetches one entry. It returns only errors that end the pass; a failure
// of the entry alone goes into the report.
func (p *pass) obtain(ctx context.Context, e manifest.Entry, work *scratch) error {
	for {
		wait, mine := p.s.takeOff(e.Digest)
		if mine {
			break
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	var done *committed
	err := p.withFiles(ctx, true, func() (err error) {
		done, err = p.linkOrFetch(ctx, e, work)
		return err
	})
	if err != nil || done.partial == nil || done.partial.IsCopy() {
		p.s.land(e.Digest) // the bytes have a record elsewhere: the next entry needn't wait for this commit
	} else {
		done.claimed = true
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err = p.spaceError(err, 0)
		v, _ := retry.Classify(err)
		p.fail(e, err)
		if v != retry.Fatal {
			err = p.noneLeft()
		}
		if err != nil {
			p.stop(err)
		}
		return err
	}
	p.committer.in <- done // the committer never stops before its channel is closed
	return nil
}

func (p *pass) linkOrFetch(ctx context.Context, e manifest.Entry, work *scratch) (*committed, error) {
	// Before any byte is fetched: a file or a planted symlink may be in the folder's place.
	if err := p.s.Tree.EnsureDirOf(p.ref, e.Path); err != nil {
		return nil, err
	}
	if done, err := p.links.link(e); done != nil || err != nil {
		return done, err
	}
	return p.fetch(ctx, e, work)
}

// writeHistory records the pass for `mimicsync status`.
func (p *pass) writeHistory(r *report.Report) error {
	pass := store.Pass{Start: p.start, Elapsed: r.Elapsed, State: r.State, Files: r.Files, Bytes: r.Bytes}
	pass.Failures = report.First(r.Failures)
	if r.Err != nil {
		pass.Error = report.Clip(r.Err.Error(), 4*report.MaxDetail)
	}
	return p.s.Store.AddPass(p.ref, pass)
}

// keptStray is how long a partial of an unknown version is kept.
const keptStray = 30 * 24 * time.Hour

// tidy removes old notes about wrong objects and, after a complete pass, former
// manifests with their records, and partials that no entry needs any more.
func (p *pass) tidy(r *report.Report) error {
	if err := p.s.Store.DropOldWrong(); err != nil {
		return err
	}
	if r.State != store.Complete || !p.selection.All() {
		return nil
	}
	var former []manifest.Digest
	for _, f := range p.version.Former {
		former = append(former, f.Digest)
	}
	if err := p.s.Store.DropFormer(p.ref); err != nil {
		return err
	}
	if err := p.s.dropManifests(former); err != nil {
		return err
	}
	return p.s.dropPartials(func(left store.Partial) bool {
		if left.Ref == (manifest.Ref{}) { // it may belong to another dataset, whose next pass finds it by its digest
			return time.Since(left.Updated) > keptStray
		}
		return left.Ref == p.ref // it belongs to an entry of a former manifest
	})
}

// stop ends the pass early, with err as its cause.
func (p *pass) stop(err error) { p.cancel(err) }
