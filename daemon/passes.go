package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mimicsync/downloader"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// pass is a pass that was asked for, runs, or has ended. Guarded by Daemon.mu, except for
// constant fields and progress.
type pass struct {
	id       int64
	kind     Kind
	request  PullRequest // Ref and, if the pass fetches, the rest
	repair   bool        // a verification fetches wrong files again
	progress *progress.Progress

	asked bool // by a person: it ignores run windows
	held  bool // it was stopped, and begins when passes may continue
	made  time.Time
	// Before the pass begins, start is zero and cancel is nil.
	start    time.Time
	cancel   context.CancelCauseFunc
	stopping bool
	version  string // empty until it is known
	samples  samples

	// The fields below are set when the pass has ended.
	ended        bool
	elapsed      time.Duration
	report       *report.Report
	verification *report.Verification
	err          error
	why, cure    string
	recorded     time.Time // its Start in the history
}

// stop is why the daemon stops a pass: the cause of its context.
type stop struct {
	text string
	// resumes says that the pass continues as soon as it may.
	resumes bool
}

// Error says why, for the history.
func (s *stop) Error() string { return "interrupted: " + s.text }

// Unwrap makes the downloader end in good order.
func (s *stop) Unwrap() error { return failure.ErrInterrupted }

// Reasons to stop a pass.
var (
	stopClosed  = &stop{"the run window closed", true}
	stopPaused  = &stop{"it was paused", true}
	stopDaemon  = &stop{"the daemon stopped", true}
	stopSpace   = &stop{"the disk is full", true}
	stopScrub   = &stop{"a refresh is due", true}
	stopChanged = &stop{"its configuration changed", true}
	stopDropped = &stop{"the configuration no longer has the dataset", false}
	stopByHand  = &stop{"it was canceled", false}
)

// stop stops a running pass. The first reason counts.
func (p *pass) stop(why *stop) {
	p.stopping = true
	p.cancel(why)
}

// fetches reports whether it is a pass in the sense of the downloader.
func (p *pass) fetches() bool { return p.kind.fetches() }

// keptPasses is how many passes a Daemon knows by their ID.
const keptPasses = 100

// newPass makes a pass with a new ID.
func (d *Daemon) newPass(kind Kind, r PullRequest) *pass {
	d.lastID++
	p := &pass{
		id: d.lastID, kind: kind, request: r, version: r.Ref.Version, progress: new(progress.Progress), made: time.Now().Round(0),
	}
	d.recent = append(d.recent, p)
	if len(d.recent) > keptPasses {
		for i, old := range d.recent {
			if old.ended {
				d.recent = append(d.recent[:i:i], d.recent[i+1:]...)
				break
			}
		}
	}
	return p
}

// run runs a pass from beginning to end, in its own goroutine.
func (d *Daemon) run(ctx context.Context, s *dataset, p *pass) {
	d.mu.Lock()
	known := s.versions
	d.mu.Unlock()
	var err error
	if p.fetches() {
		err = d.pull(ctx, p)
	} else {
		err = d.reread(ctx, p, known)
	}
	p.cancel(nil) // releases the context's resources
	why, cure := d.explain(err)
	d.mu.Lock()
	p.elapsed, p.err, p.why, p.cure = time.Since(p.start), err, why, cure
	d.mu.Unlock()
	unrecorded := d.record(s, p)
	if isFull(unrecorded) {
		d.o.Logger.WarnContext(ctx, "pass not saved in the history", "dataset", s.name, "pass", p.id, "err", unrecorded)
		unrecorded = nil
	}
	versions, err := d.count(s.name, unchanged(known, p))
	broken := errors.Join(unrecorded, err)
	if isStoreError(p.err) {
		broken = errors.Join(p.err, broken)
	}
	if err := d.o.Syncer.Tree.Present(); err != nil {
		broken = fmt.Errorf("%w: %w", ErrMirrorGone, err)
	}
	if d.end(s, p, versions, broken) && d.o.CloseIdle != nil {
		d.o.CloseIdle()
	}
}

// explain says why a pass ended early, in words for people.
func (d *Daemon) explain(err error) (why, cure string) {
	if err == nil {
		return "", ""
	}
	if s, ok := errors.AsType[*stop](err); ok {
		return s.Error(), ""
	}
	return d.o.Explain(err)
}

// unchanged are the versions that a pass hasn't touched: their counts remain valid.
func unchanged(known []version, p *pass) []version {
	if !p.fetches() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(known), func(v version) bool { return v.ref.Version == p.version })
}

// pull runs a pass that fetches.
func (d *Daemon) pull(ctx context.Context, p *pass) error {
	d.mu.Lock()
	limit := d.settings.MaxDuration
	d.mu.Unlock()
	ctx, stop := downloader.Within(ctx, limit)
	defer stop()
	ref, err := d.o.Syncer.Resolve(ctx, p.request.Ref, p.progress)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		d.setReport(p, failedReport(p.request.Ref, err))
		return err
	}
	d.setVersion(p, ref.Version)
	if p.request.AcceptManifest {
		d.o.Syncer.AcceptManifest(ref)
	}
	report, err := d.o.Syncer.PullFrom(ctx, p.request.Sources, ref, p.request.Selection, p.progress)
	d.setReport(p, report)
	return err
}

// failedReport is the report of a pass that failed before the Syncer made one.
func failedReport(ref manifest.Ref, err error) *report.Report {
	state := store.Failed
	if errors.Is(err, failure.ErrInterrupted) {
		state = store.Interrupted
	}
	return &report.Report{Dataset: ref.Dataset, Version: ref.Version, State: state, Err: err}
}

func (d *Daemon) setVersion(p *pass, version string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.version = version
	d.change()
}

func (d *Daemon) setReport(p *pass, r *report.Report) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.report = r
}

// end notes the end of a pass, and any error that ends the daemon. It reports whether it
// was the last running pass.
func (d *Daemon) end(s *dataset, p *pass, versions []version, broken error) (last bool) {
	now := time.Now().Round(0)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.measure(now)
	p.ended = true
	s.running = nil
	if p.verification != nil {
		p.version = p.verification.Version
	}
	if broken == nil {
		s.versions = versions
		d.settle(s, p, now)
	} else if d.fatal == nil {
		d.fatal = broken // and the dataset's state stays as it is
	}
	shown := d.passStatus(p, now)
	d.o.Logger.Info("pass ends", "dataset", shown.Dataset, "version", shown.Version, "kind", string(p.kind), "pass", p.id,
		"state", shown.State.String(), "elapsed", p.elapsed, "fetched_bytes", shown.Fetched, "err", p.err)
	shown.Report, shown.Verification = nil, nil
	if !s.mistook(p) {
		s.last = &shown
	}
	switch complete := p.state() == store.Complete; {
	case s.mistook(p):
	case p.fetches():
		s.complete = complete
		if complete {
			s.success = now
		}
	case !complete && p.state() != store.Interrupted:
		s.complete = false
	}
	d.traffic.unsaved = true
	d.trimDetails()
	d.decideSoon()
	return !d.passRuns()
}

func (d *Daemon) passRuns() bool {
	return slices.ContainsFunc(d.sorted(), func(s *dataset) bool { return s.running != nil })
}

// state is how a pass ended. A verification is complete, too, if everything wrong was
// fetched again.
func (p *pass) state() store.State {
	switch {
	case !p.ended:
		return store.Running
	case p.fetches():
		return p.report.State
	case p.err != nil:
		return rereadState(nil, p.err)
	case p.report != nil:
		return p.report.State
	case p.verification == nil:
		return store.Complete // the mirror has no version to verify
	}
	return rereadState(p.verification, p.err)
}

// rereadState is how a verification ended.
func rereadState(v *report.Verification, err error) store.State {
	switch {
	case errors.Is(err, failure.ErrInterrupted):
		return store.Interrupted
	case err != nil:
		return store.Failed
	case v.Failed() > 0:
		return store.Incomplete
	}
	return store.Complete
}

// isStoreError reports whether the state file can't be trusted. If only its disk is full,
// it can.
func isStoreError(err error) bool {
	_, broken := errors.AsType[*store.Error](err)
	return broken && !isFull(err) || errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrClosed)
}
