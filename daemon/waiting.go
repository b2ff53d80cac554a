package daemon

import (
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"mimicsync/downloader/progress"
)

// What a dataset may wait for, besides sources, whose names are single words.
const (
	forWindow = "the run window"
	forRoom   = "free disk space"
	forResume = "someone to resume it"
	forPerson = "someone to act"
	forPass   = "the pass before it"
	forJob    = "another command"
	forRetry  = "the next try"
	forStart  = "the next refresh"
)

// waiting says what keeps a dataset from continuing: what its pass or plan waits for, or
// why no pass begins although one is due. The caller holds mu.
func (d *Daemon) waiting(s *dataset, status *DatasetStatus, now time.Time) *progress.Wait {
	var w progress.Wait
	ok := false
	switch {
	case status.Pass != nil:
		w, ok = progress.Foremost(status.Pass.Waits, status.Pass.Connections, status.Pass.Rate > 0)
	case len(s.queue) > 0 && status.Condition != Parked:
		if behind := d.queuedBehind(s.queue[0], now); len(behind) > 0 {
			w, ok = behind[0], true
		}
	case len(s.planning.Waits()) > 0:
		w, ok = progress.Foremost(s.planning.Waits(), s.planning.Connections.Load(), false)
	default:
		w, ok = d.waitOfCondition(s, status, now)
	}
	if !ok {
		return nil
	}
	return &w
}

// waitOfCondition is why no pass of a dataset runs, if one is due.
func (d *Daemon) waitOfCondition(s *dataset, status *DatasetStatus, now time.Time) (w progress.Wait, ok bool) {
	if t := s.agenda.Trouble; t != nil {
		w.Since = t.Since
	}
	switch status.Condition {
	case Closed:
		return d.waitForWindow(now), true
	case Paused:
		return progress.Wait{For: forResume, Why: status.Why}, true
	case NoSpace:
		if d.shortage != nil {
			return d.waitForRoom(), true
		}
		w.For, w.Why, w.Until = forRoom, status.Why, status.Next
		if s.needs > 0 {
			w.Why = mustBeFree(s.needs, d.space.Bytes)
		}
		return w, true
	case Parked:
		return progress.Wait{For: forPerson, Why: status.Why, Since: w.Since, Until: status.Next}, true
	case Failing:
		return progress.Wait{For: forRetry, Why: status.Why, Since: w.Since, Until: status.Next}, true
	case Limited:
		return progress.Wait{For: forStart, Why: status.Why, Since: w.Since, Until: status.Next}, true
	case Idle, Queued, Running:
	}
	return w, false
}

func (d *Daemon) waitForWindow(now time.Time) progress.Wait {
	_, changes := d.settings.Windows.Open(now)
	return progress.Wait{For: forWindow, Why: "passes run only while it is open", Until: changes}
}

// waitForRoom says how much space is needed, and how much is free.
func (d *Daemon) waitForRoom() progress.Wait {
	w := progress.Wait{For: forRoom, Why: d.shortageInWords(), Until: d.shortage.until}
	if t := d.all.Trouble; t != nil {
		w.Since = t.Since
	}
	return w
}

func (d *Daemon) shortageInWords() string {
	if d.space.Bytes >= d.shortage.bytes { // a quota, or a file system that has no room for more names
		return fmt.Sprintf("it was full; %s are free now", humanize.Bytes(uint64(max(d.space.Bytes, 0))))
	}
	return mustBeFree(d.shortage.bytes, d.space.Bytes)
}

func mustBeFree(need, are int64) string {
	return fmt.Sprintf("needs %s free, has %s", humanize.Bytes(uint64(max(need, 0))), humanize.Bytes(uint64(max(are, 0))))
}

// queuedBehind is why a requested pass hasn't begun, nil if it is about to. The caller
// holds mu.
func (d *Daemon) queuedBehind(p *pass, now time.Time) []progress.Wait {
	s := d.datasets[p.request.Ref.Dataset]
	if s == nil {
		return nil
	}
	w := progress.Wait{Since: p.made}
	switch at := slices.Index(s.queue, p); {
	case at < 0:
		return nil
	case p.held && d.shortage != nil:
		w = d.waitForRoom()
	case p.held && d.all.Paused:
		w.For, w.Why = forResume, "all datasets are paused"
	case p.held && s.agenda.Paused:
		w.For, w.Why = forResume, "it is paused"
	case s.running != nil:
		w.For = forPass
		w.Why = fmt.Sprintf("a %s of %s has been running since %s", s.running.kind.inWords(), s.name, atClock(s.running.start, now))
	case s.job:
		w.For, w.Why = forJob, "a plan or prune of "+s.name+" has been running since "+atClock(s.jobSince, now)
	case at > 0:
		w.For, w.Why = forPass, english.Plural(at, "pass", "passes")+" of "+s.name+" will run first"
	default:
		return nil
	}
	return []progress.Wait{w}
}

// inWords is the kind in plain words.
func (k Kind) inWords() string {
	if k == VerifyPass {
		return "verification"
	}
	return string(k)
}

// atClock is a time within the past day, or an earlier one with its date.
func atClock(t, now time.Time) string {
	if now.Sub(t) < 18*time.Hour {
		return t.Local().Format(time.TimeOnly)
	}
	return t.Local().Format("2006-01-02 15:04")
}
