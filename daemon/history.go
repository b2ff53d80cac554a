package daemon

import (
	"time"

	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// shownFailures is how many failures of a pass the history keeps.
const shownFailures = 20

// record makes sure that a pass that fetched is in the history, with its kind. The Syncer
// has added it if it got as far as having a manifest.
func (d *Daemon) record(s *dataset, p *pass) error {
	if !p.fetches() {
		return nil // recordVerification has done so
	}
	d.mu.Lock()
	if s.mistook(p) {
		d.mu.Unlock()
		return nil
	}
	report, ref := p.report, manifest.Ref{Dataset: p.request.Ref.Dataset, Version: p.version}
	entry := store.Pass{Start: p.start, Elapsed: p.elapsed, State: report.State, Error: p.why}
	d.mu.Unlock()
	written, err := d.o.Syncer.Store.Passes(ref, 1)
	if err != nil {
		return err
	}
	if len(written) > 0 && !written[0].Start.Before(p.start) {
		entry = written[0]
	}
	entry.Kind = string(p.kind)
	d.mu.Lock()
	p.recorded = entry.Start
	d.mu.Unlock()
	return d.o.Syncer.Store.AddPass(ref, entry)
}

// recordVerification adds the result of a verification to the history of its version.
func (d *Daemon) recordVerification(ref manifest.Ref, start time.Time, kind Kind, v *report.Verification, err error) error {
	entry := store.Pass{
		Kind: string(kind), Start: start, Elapsed: time.Since(start), State: rereadState(v, err),
		Files:    store.Files{Total: v.Total, Present: v.Verified, Failed: v.Failed()},
		Bytes:    store.Bytes{Present: v.Bytes},
		Failures: v.Failures[:min(len(v.Failures), shownFailures)],
	}
	if err != nil {
		entry.Error = err.Error()
	}
	return d.o.Syncer.Store.AddPass(ref, entry)
}

// History returns passes, newest first; of all datasets if dataset is empty.
func (d *Daemon) History(dataset string, limit int) ([]PassStatus, error) {
	past, err := d.o.Syncer.Store.History(dataset, limit)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	passes := make([]PassStatus, 0, len(past))
	for _, entry := range past {
		s := pastStatus(entry)
		for _, p := range d.recent {
			if p.request.Ref.Dataset == s.Dataset && p.fetches() && p.recorded.Equal(s.Start) {
				s.ID = p.id
			}
		}
		passes = append(passes, s)
	}
	return passes, nil
}

// pastStatus is a pass of the history as a status.
func pastStatus(p store.Past) PassStatus {
	kind := Kind(p.Kind)
	if kind == "" {
		kind = PullPass // by the command pull
	}
	return PassStatus{
		Kind: kind, Dataset: p.Ref.Dataset, Version: p.Ref.Version, State: p.State, Phase: progress.PhaseEnd,
		Start: p.Start, Elapsed: p.Elapsed.Seconds(),
		Total: p.Files.Total, Done: p.Files.Total - p.Files.Failed, Failed: p.Files.Failed, Fetched: p.Bytes.Fetched,
		Error: p.Error, Failures: p.Failures,
	}
}

// lastFetch returns the last pass over a version that fetched, and whether there is one:
// verifications in between say nothing about it.
func lastFetch(s *store.Store, ref manifest.Ref) (last store.Pass, known bool, err error) {
	passes, err := s.Passes(ref, enoughPasses)
	for _, p := range passes {
		if pastStatus(store.Past{Pass: p}).Kind.fetches() {
			return p, true, err
		}
	}
	return store.Pass{}, false, err
}

// enoughPasses is how far back to look for a pass of some kind.
const enoughPasses = 100

// recallPasses reads from the history how a dataset's passes ended.
func (d *Daemon) recallPasses(s *dataset) error {
	past, err := d.o.Syncer.Store.History(s.name, enoughPasses)
	if err != nil || len(past) == 0 {
		return err
	}
	last := pastStatus(past[0])
	s.last = &last
	judged := false // whether it is known if everything is here
	for _, p := range past {
		fetches := pastStatus(p).Kind.fetches()
		if !judged && (fetches || p.State != store.Complete && p.State != store.Interrupted) {
			judged, s.complete = true, fetches && p.State == store.Complete
		}
		if fetches && p.State == store.Complete {
			s.success = p.Start.Add(p.Elapsed)
			return nil
		}
	}
	return nil
}
