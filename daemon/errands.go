package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"mimicsync/downloader"
	"mimicsync/manifest"
)

// errand has something done for a person that is no pass, and returns when it is.
// While it is alone with its dataset no pass of that begins; it is not where one
// runs already, or another errand. The context that it works under ends with Run,
// which waits for it.
func (d *Daemon) errand(ctx context.Context, name string, do func(ctx context.Context, alone bool) error) error {
	d.mu.Lock()
	if d.hasEnded() {
		d.mu.Unlock()
		return errNotStarted
	}
	s := d.dataset(name)
	alone := s.running == nil && !s.errand
	s.errand = s.errand || alone
	known := s.versions
	d.passes.Add(1)
	d.mu.Unlock()
	defer d.passes.Done()
	ctx, cancel := d.untilEnd(ctx)
	defer cancel()
	err := do(ctx, alone)
	if why := context.Cause(ctx); err != nil && errors.Is(why, stopDaemon) {
		err = why
	}
	if !alone {
		return err
	}
	versions, cerr := d.count(name, known)
	d.mu.Lock()
	s.errand = false
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
func (d *Daemon) Plan(ctx context.Context, r PullRequest) (plan *downloader.Plan, err error) {
	d.mu.Lock()
	r = d.filledIn(r)
	d.mu.Unlock()
	err = d.errand(ctx, r.Ref.Dataset, func(ctx context.Context, alone bool) error {
		ref, err := d.o.Syncer.Resolve(ctx, r.Ref)
		if err != nil {
			return err
		}
		if alone {
			plan, err = d.o.Syncer.PlanFrom(ctx, r.Sources, ref, r.Selection)
			return err
		}
		plan, err = d.o.Syncer.PlanAsKnown(ctx, r.Sources, ref, r.Selection)
		if errors.Is(err, downloader.ErrNoManifest) {
			return fmt.Errorf("%w: the manifest of %s is on its way", ErrBusy, ref)
		}
		return err
	})
	return plan, err
}

// Prunable returns the versions that Prune may remove, see Syncer.Prunable: of
// what the configuration keeps, keep is in the place of Dataset.KeepOld if it is
// not nil.
func (d *Daemon) Prunable(ctx context.Context, want manifest.Ref, keep *int) ([]manifest.Ref, error) {
	d.mu.Lock()
	settings := d.settings.Datasets
	d.mu.Unlock()
	return d.o.Syncer.Prunable(ctx, want, func(dataset string) (kept downloader.Kept) {
		for _, c := range settings {
			if c.Ref.Dataset == dataset {
				kept = downloader.Kept{Old: c.KeepOld, Version: c.Ref.Version}
			}
		}
		if keep != nil {
			kept.Old = *keep
		}
		return kept
	})
}

// PlanPrune says what Prune would remove of a version.
func (d *Daemon) PlanPrune(ctx context.Context, ref manifest.Ref) (plan *downloader.Pruned, err error) {
	err = d.errand(ctx, ref.Dataset, func(ctx context.Context, _ bool) error {
		plan, err = d.o.Syncer.PlanPrune(ctx, ref)
		return err
	})
	return plan, err
}

// Prune removes a version. The error wraps ErrBusy if a pass over the dataset
// runs, or one over the version waits.
func (d *Daemon) Prune(ctx context.Context, ref manifest.Ref) (result *downloader.Pruned, err error) {
	err = d.errand(ctx, ref.Dataset, func(ctx context.Context, alone bool) error {
		d.mu.Lock()
		waits := slices.ContainsFunc(d.dataset(ref.Dataset).queue, func(p *pass) bool { return p.request.Ref == ref })
		d.mu.Unlock()
		if !alone || waits {
			return fmt.Errorf("%w, and %s stays as it is", ErrBusy, ref)
		}
		result, err = d.o.Syncer.Prune(ctx, ref)
		return err
	})
	return result, err
}
