package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"mimicsync/downloader"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// reread runs a verification or a scrub: of one version, or of all versions of the dataset
// in turn, whatever the result of each.
func (d *Daemon) reread(ctx context.Context, p *pass, versions []version) error {
	scrub := d.scrubOptions(p)
	var trouble error
	for _, v := range versions {
		if p.request.Ref.Version != "" && p.request.Ref.Version != v.ref.Version {
			continue
		}
		start := time.Now().Round(0)
		d.beginStep(p, v.ref.Version)
		found, err := d.o.Syncer.Scrub(ctx, v.ref, scrub, p.progress)
		if found == nil {
			found = &report.Verification{Dataset: v.ref.Dataset, Version: v.ref.Version}
		}
		d.addVerification(p, found)
		err = errors.Join(err, d.recordVerification(v.ref, start, p.kind, found, err))
		if err == nil && p.repair && found.Failed() > 0 {
			err = d.fetchAgain(ctx, v.ref, p)
		}
		if ctx.Err() != nil || isStoreError(err) {
			return err
		}
		trouble = errors.Join(trouble, err)
	}
	return trouble
}

// scrubOptions says how a pass reads the mirror: a scrub slowly, skipping what was read
// since it first began; a person's verification everything, at full speed.
func (d *Daemon) scrubOptions(p *pass) downloader.ScrubOptions {
	if p.kind == VerifyPass {
		return downloader.ScrubOptions{Keep: !p.repair}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	began := d.datasets[p.request.Ref.Dataset].agenda.Scrubbed
	return downloader.ScrubOptions{Rate: d.settings.Scrub.Rate, Before: began.Add(-d.settings.Scrub.MaxAge)}
}

// beginStep gives each version's part of a pass its own progress.
func (d *Daemon) beginStep(p *pass, version string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.measure(time.Now().Round(0))
	p.version, p.progress, p.samples = version, new(progress.Progress), samples{}
	d.change()
}

// fetchAgain pulls only the wrong and missing files, so that a mirror of a part of a
// dataset stays one.
func (d *Daemon) fetchAgain(ctx context.Context, ref manifest.Ref, p *pass) error {
	d.beginStep(p, ref.Version)
	lost, err := d.o.Syncer.SelectLost(ref)
	if err != nil {
		return err
	}
	report, err := d.o.Syncer.PullFrom(ctx, p.request.Sources, ref, lost, p.progress)
	d.mu.Lock()
	defer d.mu.Unlock()
	p.report = addReport(p.report, report)
	return err
}

// addVerification adds the result of one version to that of others.
func (d *Daemon) addVerification(p *pass, found *report.Verification) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.verification == nil {
		p.verification = found
		return
	}
	sum := *p.verification
	sum.Version = "" // there are several
	sum.Total += found.Total
	sum.Verified += found.Verified
	sum.Bytes += found.Bytes
	sum.Recent += found.Recent
	sum.Wrong += found.Wrong
	sum.Missing += found.Missing
	sum.Unreadable += found.Unreadable
	sum.Absent += found.Absent
	sum.Unselected += found.Unselected
	sum.Failures = slices.Concat(sum.Failures, found.Failures)
	sum.Quarantined = slices.Concat(sum.Quarantined, found.Quarantined)
	sum.Elapsed += found.Elapsed
	p.verification = &sum
}

// addReport adds up what was fetched again in several versions.
func addReport(sum, r *report.Report) *report.Report {
	if sum == nil {
		return r
	}
	added := *sum
	added.Version = "" // there are several
	added.Files.Total += r.Files.Total
	added.Files.Fetched += r.Files.Fetched
	added.Files.Linked += r.Files.Linked
	added.Files.Failed += r.Files.Failed
	added.Bytes.Fetched += r.Bytes.Fetched
	added.Bytes.Linked += r.Bytes.Linked
	added.Bytes.Discarded += r.Bytes.Discarded
	added.Failures = slices.Concat(added.Failures, r.Failures)
	added.Quarantined = slices.Concat(added.Quarantined, r.Quarantined)
	added.Elapsed += r.Elapsed
	if r.State != store.Complete {
		added.State, added.Err = r.State, r.Err
	}
	return &added
}
