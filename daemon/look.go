package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

const (
	// vain is how often a file must fail in the same way before it waits for the schedule;
	// vainAfter is the time between two failures that count.
	vain      = 3
	vainAfter = time.Hour
	// lookWait is the time between two looks at a source that waits for a person; each look
	// is one request. It doubles, up to longestRetry, while passes that a look started are
	// refused.
	lookWait = 5 * time.Minute
)

// failing is how often the files of a dataset have failed, by path.
type failing map[string]failed

// failed is a file that keeps failing in the same way.
type failed struct {
	reason string
	times  int       // at least vainAfter apart
	at     time.Time // of the last failure that counts
}

// anyHope notes the failures of a pass, and reports whether to try again before the
// schedule does: unless all of them have been the same for hours.
func (f *failing) anyHope(r *report.Report, now time.Time) bool {
	before := *f
	*f = failing{}
	hope := r.Files.Failed > int64(len(r.Failures)) // failures that aren't listed
	for _, failure := range r.Failures {
		is := before[failure.Path]
		switch {
		case is.reason != failure.Reason:
			is = failed{failure.Reason, 1, now}
		case now.Sub(is.at) >= vainAfter:
			is.times, is.at = is.times+1, now
		}
		(*f)[failure.Path] = is
		hope = hope || is.times < vain
	}
	return hope
}

// look is when to ask a source, in a single request, whether a dataset still waits for a
// person.
type look struct {
	at   time.Time    // zero: never
	ref  manifest.Ref // of the last refresh since the daemon started
	vain int          // consecutive passes that a look started and that were refused
	runs bool
}

// lookAfter decides what to look at after a refresh.
func (s *dataset) lookAfter(p *pass, o outcome, now time.Time) {
	_, access := errors.AsType[*source.AccessError](p.err)
	ref := manifest.Ref{Dataset: p.request.Ref.Dataset, Version: p.version}
	if o.condition != Parked || !access {
		s.look = look{ref: ref}
		return
	}
	s.look.ref, s.look.at = ref, now.Add(min(lookWait<<min(s.look.vain, 10), longestRetry))
}

// looks returns the looks that are due.
func (d *Daemon) looks(ctx context.Context, now time.Time) []func() {
	open, _ := d.settings.Windows.Open(now)
	var start []func()
	for _, s := range d.sorted() {
		t := s.agenda.Trouble
		if s.look.at.IsZero() && t != nil && t.Condition == string(Parked) && s.look.ref == (manifest.Ref{}) && s.scheduled() {
			s.look.at, s.look.ref = now, s.shown().ref // before the daemon was last started
		}
		if !isDue(s.look.at, now) || s.look.runs || s.running != nil || s.job || !open || !d.mayGoOn(s) || !s.scheduled() {
			continue
		}
		s.look.runs = true
		ref, sources := s.look.ref, slices.Clone(s.settings.Sources)
		start = append(start, func() { d.lookAt(ctx, s, sources, ref) })
	}
	return start
}

// lookAt asks whether a dataset is accessible by now, and if so starts a refresh.
func (d *Daemon) lookAt(ctx context.Context, s *dataset, sources []string, ref manifest.Ref) {
	ctx, cancel := d.untilEnd(ctx)
	err := d.o.Syncer.Look(ctx, sources, ref)
	cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	s.look.runs = false
	switch t := s.agenda.Trouble; {
	case t == nil || t.Condition != string(Parked) || s.running != nil:
		s.look.at = time.Time{} // a pass knows better
	case err != nil:
		s.look.at = time.Now().Round(0).Add(lookWait)
	default:
		s.look.at = time.Time{}
		s.look.vain++
		s.agenda.Refreshing, s.agenda.unsaved, s.retryAt = true, true, time.Time{}
		d.o.Logger.InfoContext(ctx, "access is no longer refused", "dataset", ref.String())
	}
	d.decideSoon()
}
