package daemon

import (
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/progress"
)

// Status returns the present state. It doesn't wait for the disk.
func (d *Daemon) Status() Status {
	now := time.Now().Round(0)
	d.mu.Lock()
	defer d.mu.Unlock()
	open, changes := d.settings.Windows.Open(now)
	s := Status{
		Program: d.o.Program, Mirror: d.o.Mirror, Now: now, Started: d.started, Paused: d.all.Paused,
		Window: Window{Open: open, Changes: changes}, BWLimit: d.limit.text, BytesLimit: d.limit.timetable.Rate(now.Local()),
		Free: d.space.Bytes, Hosts: d.hosts(), Datasets: []DatasetStatus{},
	}
	for _, ds := range d.sorted() {
		if ds.settings == nil && len(ds.versions) == 0 && ds.running == nil && len(ds.queue) == 0 && len(ds.planning.Waits()) == 0 {
			continue // it was asked for once, and never came
		}
		status := d.datasetStatus(ds, now)
		if status.Pass != nil {
			s.Rate += status.Pass.Rate
		}
		s.Datasets = append(s.Datasets, status)
	}
	return s
}

// hosts returns the connections to the host of each source.
func (d *Daemon) hosts() []Host {
	hosts := []Host{}
	for _, b := range d.o.Syncer.Sources {
		h := Host{Source: b.Name()}
		h.Used, h.Limit, h.Ceiling = b.Budget.Connections()
		h.Why = fmt.Sprintf("%d is the limit set for this host", h.Ceiling)
		if h.Limit < h.Ceiling {
			h.Why = fmt.Sprintf("more than %d didn't make it faster, or were refused", h.Limit)
		}
		hosts = append(hosts, h)
	}
	return hosts
}

func (d *Daemon) datasetStatus(s *dataset, now time.Time) DatasetStatus {
	v := s.shown()
	status := DatasetStatus{
		Dataset: s.name, Version: v.ref.Version, Latest: s.settings != nil && s.settings.Ref.Version == "", Scheduled: s.scheduled(),
		Entries: v.entries, Files: v.files, Bytes: v.bytes, Published: v.published,
		Next: d.inWindow(earliest(s.look.at, s.refreshAt(now)), now), NextScrub: d.inWindow(s.scrubAt(d.settings.Scrub, now), now),
		LastSuccess: s.success, Last: s.last, Complete: s.complete, Selection: v.selection,
	}
	for _, v := range s.versions {
		status.Versions = append(status.Versions, VersionStatus{v.ref.Version, v.entries, v.files, v.bytes, v.published, v.selection, v.fetched, v.last})
	}
	if p := s.running; p != nil {
		pass := d.passStatus(p, now)
		pass.Report, pass.Verification = nil, nil
		status.Pass = &pass
		if p.fetches() && (v.ref.Version == "" || v.ref.Version == p.version) && pass.Phase >= progress.PhaseTransfer {
			status.Version = p.version
			status.Files = max(status.Files, pass.Done)
			status.Bytes += pass.Fetched
			if p.request.Selection.All() {
				status.Entries = pass.Total
			}
			if status.Published > 0 {
				status.Bytes = min(status.Bytes, status.Published)
			}
		}
	}
	status.Condition, status.Why, status.Cure = d.condition(s, now)
	status.Waiting = d.waiting(s, &status, now)
	return status
}

// inWindow is when a pass that is due at t begins.
func (d *Daemon) inWindow(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	if t.Before(now) {
		t = now
	}
	if open, changes := d.settings.Windows.Open(t); !open && !changes.IsZero() {
		return changes
	}
	return t
}

// condition returns the condition of a dataset. If several hold, it is the one that people
// can do most about.
func (d *Daemon) condition(s *dataset, now time.Time) (c Condition, why, cure string) {
	open, _ := d.settings.Windows.Open(now)
	waits := len(s.queue) > 0 || isDue(s.refreshAt(now), now) || isDue(s.scrubAt(d.settings.Scrub, now), now)
	t := s.agenda.Trouble
	switch {
	case s.running != nil:
		return Running, "", ""
	case s.agenda.Paused:
		return Paused, "it is paused", "mimicsync daemon resume " + s.name
	case d.all.Paused:
		return Paused, "all datasets are paused", "mimicsync daemon resume"
	case d.shortage != nil && (waits || s.agenda.Refreshing):
		return NoSpace, d.all.Trouble.Why, d.all.Trouble.Cure
	case t != nil && (t.Condition == string(Parked) || t.Condition == string(NoSpace)):
		return Condition(t.Condition), t.Why, t.Cure
	case s.job && s.hasAsked():
		return Queued, "another command is planning or pruning it", ""
	case waits && !open:
		return Closed, "the run window is closed", ""
	case waits:
		return Queued, "", ""
	case t != nil: // Failing, Limited
		return Condition(t.Condition), t.Why, t.Cure
	}
	return Idle, "", ""
}

// passStatus is a pass at this moment. The caller holds mu.
func (d *Daemon) passStatus(p *pass, now time.Time) PassStatus {
	g := p.progress
	s := PassStatus{
		ID: p.id, Kind: p.kind, Dataset: p.request.Ref.Dataset, Version: p.version, State: p.state(),
		Phase: progress.Phase(g.Phase.Load()), Start: p.start, Elapsed: p.elapsed.Seconds(),
		Total: g.Total.Load(), Done: g.Done.Load(), Failed: g.Failed.Load(), Examined: g.Examined.Load(),
		Expected: g.Expected.Load(), Fetched: g.Fetched.Load(), Retries: g.Retries.Load(), Connections: g.Connections.Load(),
		Err: p.err, Error: p.why, Cure: p.cure, Report: p.report, Verification: p.verification,
	}
	switch {
	case p.ended && p.report != nil:
		s.Failures = firstOf(p.report.Failures)
	case p.ended && p.verification != nil:
		s.Failures = firstOf(p.verification.Failures)
	case p.start.IsZero():
		s.Waits = d.queuedBehind(p, now)
	default:
		s.Waits = firstOf(g.Waits())
		s.Elapsed = max(now.Sub(p.start), 0).Seconds()
		s.Rate = p.samples.rate()
		if left := s.Expected - s.Fetched; s.Rate > 0 && left > 0 {
			s.Left = left / s.Rate
		}
	}
	return s
}

func firstOf[T any](all []T) []T { return slices.Clone(all[:min(len(all), shownFailures)]) }

// Pass returns a running or ended pass of this daemon, with its result. The last 100 are
// kept.
func (d *Daemon) Pass(id int64) (PassStatus, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.recent {
		if p.id == id {
			return d.passStatus(p, time.Now().Round(0)), nil
		}
	}
	return PassStatus{}, fmt.Errorf("%w: %d", ErrNoSuchPass, id)
}

// Open returns the passes that haven't ended, including queued ones, and the last ID that
// was given.
func (d *Daemon) Open() (ids []int64, last int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.recent {
		if !p.ended {
			ids = append(ids, p.id)
		}
	}
	return ids, d.lastID
}

// Ready reports whether the daemon can work: it runs, the mirror exists, and there is room.
// The error says why not.
func (d *Daemon) Ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.fatal != nil:
		return d.fatal
	case !d.running:
		return errNotStarted
	case d.shortage != nil:
		return fmt.Errorf("%w: passes continue when %s are free; %s are free now",
			failure.ErrNoSpace, humanize.Bytes(uint64(max(d.shortage.bytes, 0))), humanize.Bytes(uint64(max(d.space.Bytes, 0))))
	}
	return nil
}
