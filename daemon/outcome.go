package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"mimicsync/daemon/notify"
	"mimicsync/downloader"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/store"
)

// outcome is the result of a refresh.
type outcome struct {
	condition Condition // Idle: it is complete
	// soon says to try again before the schedule does.
	soon      bool
	key       string // the same for problems that people need to hear of once
	why, cure string
}

// outage is the key of all network trouble: people don't care which router failed.
const outage = "outage"

// judge returns the outcome of a pass that wasn't stopped.
func judge(p *pass) outcome {
	refusal, access := errors.AsType[*source.AccessError](p.err)
	_, cost := errors.AsType[*downloader.CostError](p.err)
	o := outcome{why: p.why, cure: p.cure, key: p.why}
	switch {
	case p.err == nil && p.report.State == store.Complete:
		o.condition = Idle
	case p.err == nil:
		o.condition, o.why, o.soon, o.key = Failing, failuresInWords(p.report), true, outage
		if !isOutage(p.report) {
			o.key = o.why
		}
	case access, cost, errors.Is(p.err, failure.ErrSpent), errors.Is(p.err, failure.ErrSources),
		errors.Is(p.err, failure.ErrNothingSelected):
		o.condition = Parked
		if access {
			o.key = refusal.Error() // without how long it was doubted
		}
	case errors.Is(p.err, failure.ErrLimit):
		o.condition = Limited
	case isFull(p.err):
		o.condition, o.soon, o.key = NoSpace, needed(p.err) == 0, string(NoSpace)
	case isShrunk(p.err): // a person must decide
		o.condition = Failing
	default:
		o.condition, o.soon, o.key = Failing, true, outage
	}
	return o
}

func isShrunk(err error) bool {
	_, shrunk := errors.AsType[*failure.ShrunkError](err)
	return shrunk
}

// isOutage reports whether everything that failed did so on the network.
func isOutage(r *report.Report) bool {
	return !slices.ContainsFunc(r.Failures, func(f store.Failure) bool { return f.Reason != string(failure.ReasonNetwork) })
}

// failuresInWords says how many entries failed and why the first ones did, in the same
// words for the same failures.
func failuresInWords(r *report.Report) string {
	const shown = 3
	failures := slices.SortedFunc(slices.Values(r.Failures), func(a, b store.Failure) int { return cmp.Compare(a.Path, b.Path) })
	var named []string
	for _, f := range failures[:min(len(failures), shown)] {
		named = append(named, f.Path+" ("+f.Reason+")")
	}
	if len(failures) > shown {
		named = append(named, "...")
	}
	return fmt.Sprintf("%d of %d files couldn't be fetched: %s", r.Files.Failed, r.Files.Total, strings.Join(named, "; "))
}

// settle updates the dataset after a pass.
func (d *Daemon) settle(s *dataset, p *pass, now time.Time) {
	d.tellRot(s, p)
	why, broken := errors.AsType[*stop](p.err)
	switch isRefresh := s.isRefresh(p); {
	case p.kind == ScrubPass:
		s.agenda.Scrubbing, s.agenda.unsaved = broken && why.resumes, true
	case broken && isRefresh:
		s.agenda.Refreshing, s.agenda.unsaved = why.resumes, true
	case broken && why.resumes:
		d.hold(s, p)
	case broken, !p.fetches():
	case isRefresh:
		d.conclude(s, p, judge(p), now)
	default:
		d.concludePull(s, p, judge(p))
	}
}

// isRefresh reports whether a pass did the same as the dataset's refresh.
func (s *dataset) isRefresh(p *pass) bool {
	request := p.request
	request.AcceptManifest = false // once accepted, everything is as usual
	return s.scheduled() && p.fetches() && request.equal(s.request())
}

// mistook reports whether a person asked, by their own selection, for files that the
// version doesn't have: that says nothing about the dataset.
func (s *dataset) mistook(p *pass) bool {
	return p.kind == PullPass && errors.Is(p.err, failure.ErrNothingSelected) && !s.isRefresh(p)
}

// conclude sets the condition of a dataset after a refresh.
func (d *Daemon) conclude(s *dataset, p *pass, o outcome, now time.Time) {
	if o.soon && p.err == nil && o.condition == Failing {
		o.soon = s.failing.anyHope(p.report, now)
	}
	s.lookAfter(p, o, now)
	s.agenda.Ref, s.agenda.Refreshed = p.request.Ref, p.start
	s.agenda.Refreshing, s.agenda.unsaved = o.soon, true
	s.needs = 0
	switch {
	case o.condition == Idle:
		d.recover(s, p)
	case o.condition == NoSpace && o.soon:
		d.runOut(s, p, o, now)
	default:
		s.needs = needed(p.err)
		d.trouble(s, p, o, now)
	}
	if !o.soon {
		s.retries, s.retryAt = 0, time.Time{}
	}
}

// concludePull handles the end of a pull that a person asked for and can see. Only a full
// disk concerns all datasets.
func (d *Daemon) concludePull(s *dataset, p *pass, o outcome) {
	switch {
	case o.condition == NoSpace && o.soon:
		d.runOut(s, p, o, time.Now().Round(0))
		d.hold(s, p)
	case o.condition == Idle:
		d.tellComplete(s, p)
	}
}

// hold queues a stopped pass again that a person asked for.
func (d *Daemon) hold(s *dataset, p *pass) {
	again := d.newPass(p.kind, p.request)
	again.repair, again.asked, again.held = p.repair, true, true
	s.queue = append(s.queue, again)
}

// retryWaits are the waits before an incomplete refresh is tried again, whatever the
// reason: a hiccup is over in a minute, and no server is asked more than once an hour for
// something that doesn't come.
var retryWaits = [...]time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, longestRetry}

const (
	longestRetry = time.Hour
	// patience is how long a refresh may fail before people are notified: routers restart,
	// and servers get repaired.
	patience = 6 * time.Hour
)

// retryWait is the wait before the n-th retry, shortened by up to a quarter, so that nobody
// waits longer than announced.
func retryWait(n int) time.Duration {
	wait := retryWaits[min(n, len(retryWaits)-1)]
	return wait - rand.N(wait/4) //nolint:gosec // jitter is no secret
}

// trouble notes why a refresh failed, and notifies people once.
func (d *Daemon) trouble(s *dataset, p *pass, o outcome, now time.Time) {
	t := s.agenda.Trouble
	if t == nil {
		t = &store.Trouble{Since: now}
		s.agenda.Trouble = t
	}
	if t.Condition != string(o.condition) {
		t.Condition, t.Since = string(o.condition), now
	}
	t.Why, t.Cure = o.why, o.cure
	if o.condition == Limited {
		return // as configured
	}
	if o.soon {
		s.retryAt = now.Add(retryWait(s.retries))
		s.retries++
		if now.Sub(t.Since) < patience {
			return
		}
	}
	if slices.Contains(t.Told, o.key) {
		return
	}
	t.Told = append(t.Told, o.key)
	kind := notify.Failure
	switch o.condition {
	case Parked:
		kind = notify.Parked
	case NoSpace:
		kind = notify.NoSpace
	}
	d.tellOf(kind, p, o.why, o.cure)
}

// recover notes that a refresh is complete.
func (d *Daemon) recover(s *dataset, p *pass) {
	if t := s.agenda.Trouble; t != nil && len(t.Told) > 0 {
		d.tellOf(notify.Recovery, p, "all files are here again", "")
	}
	s.agenda.Trouble = nil
	d.tellComplete(s, p)
}

// tellComplete notifies of a complete pass.
func (d *Daemon) tellComplete(s *dataset, p *pass) {
	if d.shortage == nil && d.all.Trouble != nil {
		d.all.Trouble, d.all.unsaved = nil, true // the disk has room again
	}
	if f := p.report.Files; f.Fetched+f.Linked+f.Adopted > 0 {
		d.tellOf(notify.Complete, p, fmt.Sprintf("%s@%s is complete: %s", s.name, p.version, filesInWords(f)), "")
	}
}

// filesInWords says how many files a version has, and where they came from.
func filesInWords(f store.Files) string {
	words := []string{humanize.Comma(f.Total) + " files"}
	for _, part := range []struct {
		n   int64
		how string
	}{{f.Fetched, "fetched"}, {f.Linked, "linked from another version"}, {f.Adopted, "found in the mirror"}} {
		if part.n > 0 {
			words = append(words, humanize.Comma(part.n)+" "+part.how)
		}
	}
	return strings.Join(words, ", ")
}

// tellRot notifies of files that a verification found to be wrong.
func (d *Daemon) tellRot(s *dataset, p *pass) {
	v := p.verification
	if v == nil || v.Failed() == 0 {
		return
	}
	var found []string
	for _, part := range []struct {
		n   int64
		are string
	}{{v.Wrong, "damaged"}, {v.Missing, "missing"}, {v.Unreadable, "unreadable"}} {
		if part.n > 0 {
			found = append(found, english.Plural(int(part.n), "file", "")+" "+part.are)
		}
	}
	text := s.name + ": " + strings.Join(found, ", ")
	cure := "fetch them again with: mimicsync pull " + s.name
	if p.repair && p.err == nil && p.report != nil && p.report.State == store.Complete {
		text, cure = text+"; fetched again", ""
	}
	d.tellOf(notify.Rot, p, text, cure)
}
