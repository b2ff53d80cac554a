package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"mimicsync/downloader"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
)

// job does something for a person that isn't a pass. While it has the dataset to itself, no
// pass of the dataset begins; otherwise busy says what else uses the dataset. Its context
// ends with Run, which waits for it.
func (d *Daemon) job(ctx context.Context, name string, do func(ctx context.Context, busy error) error) error {
	d.mu.Lock()
	if d.hasEnded() {
		d.mu.Unlock()
		return errNotStarted
	}
	s := d.dataset(name)
	var busy error
	switch {
	case s.running != nil:
		busy = ErrBusy
	case s.job:
		busy = ErrOtherJob
	default:
		s.job, s.jobSince = true, time.Now().Round(0)
	}
	known := s.versions
	d.passes.Add(1)
	d.mu.Unlock()
	defer d.passes.Done()
	ctx, cancel := d.untilEnd(ctx)
	defer cancel()
	err := do(ctx, busy)
	if why := context.Cause(ctx); err != nil && errors.Is(why, stopDaemon) {
		err = why
	}
	if busy != nil {
		return err
	}
	versions, cerr := d.count(name, known)
	d.mu.Lock()
	s.job = false
	if cerr == nil {
		s.versions = versions
	}
	last := !d.passRuns()
	d.decideSoon()
	d.mu.Unlock()
	if last && d.o.CloseIdle != nil {
		d.o.CloseIdle()
	}
	return errors.Join(err, cerr)
}

// hasEnded reports whether Run is ending and starts nothing more.
func (d *Daemon) hasEnded() bool {
	select {
	case <-d.ending:
		return true
	default:
		return false
	}
}

// untilEnd returns a context that also ends with Run, and a function that releases it.
func (d *Daemon) untilEnd(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-d.ending:
			cancel(stopDaemon)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		watch.Wait()
	}
}

// Plan says what a pass would do. During a pass over the dataset it uses the manifest in
// force; the error wraps ErrBusy if that is still being fetched.
func (d *Daemon) Plan(ctx context.Context, r PullRequest) (plan *report.Plan, err error) {
	d.mu.Lock()
	r = d.filledIn(r)
	d.mu.Unlock()
	err = d.job(ctx, r.Ref.Dataset, func(ctx context.Context, busy error) error {
		progress := new(progress.Progress)
		d.showJob(r.Ref.Dataset, progress)
		defer d.showJob(r.Ref.Dataset, nil)
		ref, err := d.o.Syncer.Resolve(ctx, r.Ref, progress)
		if err != nil {
			return err
		}
		if busy == nil {
			plan, err = d.o.Syncer.PlanFrom(ctx, r.Sources, ref, r.Selection, progress)
			return err
		}
		plan, err = d.o.Syncer.PlanAsKnown(ctx, r.Sources, ref, r.Selection)
		if errors.Is(err, failure.ErrNoManifest) {
			return fmt.Errorf("%w: the manifest of %s is being fetched", busy, ref)
		}
		return err
	})
	return plan, err
}

// showJob makes the status of a dataset say what its plan waits for; nil for no plan. Of
// several plans it shows the one that began last.
func (d *Daemon) showJob(name string, progress *progress.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dataset(name).planning = progress
	d.change()
}

// Prunable returns the versions that Prune may remove, see Syncer.Prunable. The
// configuration says which versions to keep; keep replaces Dataset.KeepOld unless it is
// nil.
func (d *Daemon) Prunable(ctx context.Context, want manifest.Ref, keep *int) ([]manifest.Ref, error) {
	rules := downloader.Retentions{Datasets: map[string]downloader.Retention{}, Old: keep}
	d.mu.Lock()
	for _, c := range d.settings.Datasets {
		rules.Datasets[c.Ref.Dataset] = downloader.Retention{Old: c.KeepOld, Version: c.Ref.Version}
	}
	d.mu.Unlock()
	return d.o.Syncer.Prunable(ctx, want, rules)
}

// PlanPrune says what Prune would remove of a version.
func (d *Daemon) PlanPrune(ctx context.Context, ref manifest.Ref) (plan *report.Pruned, err error) {
	err = d.job(ctx, ref.Dataset, func(ctx context.Context, _ error) error {
		plan, err = d.o.Syncer.PlanPrune(ctx, ref)
		return err
	})
	return plan, err
}

// Prune removes a version. The error wraps ErrBusy if a pass over the dataset runs, or if
// one over the version waits, and ErrOtherJob if another job uses the dataset.
func (d *Daemon) Prune(ctx context.Context, ref manifest.Ref) (result *report.Pruned, err error) {
	err = d.job(ctx, ref.Dataset, func(ctx context.Context, busy error) error {
		d.mu.Lock()
		waits := slices.ContainsFunc(d.dataset(ref.Dataset).queue, func(p *pass) bool { return p.request.Ref == ref })
		d.mu.Unlock()
		if busy == nil && waits {
			busy = ErrBusy
		}
		if busy != nil {
			return fmt.Errorf("%w; nothing of %s was removed", busy, ref)
		}
		result, err = d.o.Syncer.Prune(ctx, ref)
		return err
	})
	return result, err
}
