package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mimicsync/manifest"
)

// decideOnce stops the passes that may not continue, starts those that are due, and
// returns how long Run may wait before it calls it again.
func (d *Daemon) decideOnce(ctx context.Context) (time.Duration, error) {
	if err := d.o.Syncer.Tree.Present(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMirrorGone, err)
	}
	space, err := d.free(d.o.Mirror)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMirrorGone, err)
	}
	now := time.Now().Round(0) // by the wall clock from here on
	d.mu.Lock()
	if d.fatal != nil {
		defer d.mu.Unlock()
		return 0, d.fatal
	}
	d.space = space
	if d.shortage != nil && d.shortage.overIn(space, now) {
		d.shortage = nil
		d.change()
	}
	d.retryAfterRoom()
	d.correctClocks(now)
	d.stopPasses(now)
	start := append(d.choosePasses(ctx, now), d.looks(ctx, now)...)
	d.measure(now)
	wait := d.nextLook(now)
	d.mu.Unlock()
	err = errors.Join(d.save(), d.saveTrafficNowAndThen(now))
	if isStoreError(err) {
		return 0, err
	}
	if err != nil { // the disk is full: a pass will report that
		d.o.Logger.WarnContext(ctx, "state not saved", "err", err)
	}
	for _, run := range start {
		d.passes.Go(run)
	}
	return wait, nil
}

// stopPasses stops passes that the schedule started and that may not continue now.
func (d *Daemon) stopPasses(now time.Time) {
	open, _ := d.settings.Windows.Open(now)
	for _, s := range d.datasets {
		switch p := s.running; {
		case p == nil || p.asked || p.stopping:
		case !open:
			p.stop(stopClosed)
		case p.kind == ScrubPass && (s.hasAsked() || isDue(s.refreshAt(now), now)):
			p.stop(stopScrub)
		}
	}
}

// choosePasses returns the passes to start, at most one for each dataset.
func (d *Daemon) choosePasses(ctx context.Context, now time.Time) []func() {
	open, _ := d.settings.Windows.Open(now)
	var start []func()
	for _, s := range d.sorted() {
		if s.running != nil || s.job {
			continue
		}
		p := s.takeAsked(d.mayGoOn(s))
		if p == nil && open && d.mayGoOn(s) {
			p = d.due(s, now)
		}
		if p == nil {
			continue
		}
		p.start = now
		s.running = p
		pctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		p.cancel = cancel
		start = append(start, func() { d.run(pctx, s, p) })
		d.o.Logger.InfoContext(ctx, "pass starts", "dataset", p.request.Ref.String(), "kind", string(p.kind), "pass", p.id)
		d.change()
	}
	return start
}

// due returns the pass that the schedule starts now, nil if none.
func (d *Daemon) due(s *dataset, now time.Time) *pass {
	switch {
	case isDue(s.refreshAt(now), now):
		s.agenda.Ref, s.agenda.Refreshed, s.agenda.Refreshing, s.agenda.unsaved = s.settings.Ref, now, true, true
		return d.newPass(RefreshPass, s.request())
	case isDue(s.scrubAt(d.settings.Scrub, now), now) && !d.scrubs():
		if !s.agenda.Scrubbing {
			s.agenda.Scrubbed, s.agenda.Scrubbing, s.agenda.unsaved = now, true, true
		}
		p := d.newPass(ScrubPass, PullRequest{Ref: manifest.Ref{Dataset: s.name}})
		p.repair = true
		if s.settings != nil {
			p.request.Sources = s.settings.Sources
		}
		return p
	}
	return nil
}

// mayGoOn reports whether a dataset's passes may start or continue by themselves, apart
// from the run windows.
func (d *Daemon) mayGoOn(s *dataset) bool {
	return !d.all.Paused && !s.agenda.Paused && d.shortage == nil
}

// scrubs reports whether a scrub runs: its rate is that of the whole mirror.
func (d *Daemon) scrubs() bool {
	for _, s := range d.datasets {
		if s.running != nil && s.running.kind == ScrubPass {
			return true
		}
	}
	return false
}

// nextLook is how long the daemon may wait before its next decision.
func (d *Daemon) nextLook(now time.Time) time.Duration {
	const most = time.Minute
	wait := most
	consider := func(t time.Time) {
		if until := t.Sub(now); until > 0 {
			wait = min(wait, until)
		}
	}
	_, changes := d.settings.Windows.Open(now)
	consider(changes)
	for _, s := range d.datasets {
		if s.running != nil {
			return min(wait, time.Second) // to measure the traffic
		}
		consider(s.refreshAt(now))
		consider(s.scrubAt(d.settings.Scrub, now))
		consider(s.look.at)
	}
	return wait
}

// sorted returns the datasets by name.
func (d *Daemon) sorted() []*dataset {
	all := make([]*dataset, 0, len(d.datasets))
	for _, s := range d.datasets {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *dataset) int { return strings.Compare(a.name, b.name) })
	return all
}

// decideSoon makes Run decide again, and reports that Status has changed.
func (d *Daemon) decideSoon() {
	d.change()
	select {
	case d.wake <- struct{}{}:
	default: // it will anyway
	}
}
