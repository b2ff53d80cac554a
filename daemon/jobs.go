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

// job has something done for a person that is no pass, and returns when it is.
// While it is alone with its dataset no pass of that begins; busy says what else
// is at work there, nil if it is alone. The context that it works under ends with Run,
// which waits for it.
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

// hasEnded reports whether Run has come to its end, and starts nothing any more.
func (d *Daemon) hasEnded() bool {
	select {
	case <-d.ending:
		return true
	default:
		return false
	}
}

// untilEnd returns a context that ends with Run, too, and what releases it.
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

// Plan says what a pass would do. Where one runs over the dataset, it goes by the
// manifest that it has; the error wraps ErrBusy if that is still on its way.
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
			return fmt.Errorf("%w: the manifest of %s is on its way", busy, ref)
		}
		return err
	})
	return plan, err
}

// showJob has the status of a dataset say what a plan of it waits for, nil for
// nothing. Of several plans it is the one that began last.
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

// Prune removes a version. The error wraps ErrBusy if a pass over the dataset
// runs, or one over the version waits, ErrOtherJob if something else is done there.
func (d *Daemon) Prune(ctx context.Context, ref manifest.Ref) (result *report.Pruned, err error) {
	err = d.job(ctx, ref.Dataset, func(ctx context.Context, busy error) error {
		d.mu.Lock()
		waits := slices.ContainsFunc(d.dataset(ref.Dataset).queue, func(p *pass) bool { return p.request.Ref == ref })
		d.mu.Unlock()
		if busy == nil && waits {
			busy = ErrBusy
		}
		if busy != nil {
			return fmt.Errorf("%w, and %s stays as it is", busy, ref)
		}
		result, err = d.o.Syncer.Prune(ctx, ref)
		return err
	})
	return result, err
}
