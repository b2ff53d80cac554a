package daemon

import (
	"slices"
	"time"

	"mimicsync/downloader/progress"
	"mimicsync/manifest"
	"mimicsync/store"
)

// dataset is what the daemon knows of a dataset. Guarded by Daemon.mu.
type dataset struct {
	name     string
	settings *Dataset // nil: not configured, but in the mirror or asked for
	agenda   agenda
	versions []version // in the mirror, newest first

	running  *pass
	job      bool // a job works on it, and passes wait
	jobSince time.Time
	planning *progress.Progress // of a plan that is being made, otherwise nil
	queue    []*pass            // asked for by people, in order
	last     *PassStatus
	success  time.Time // end of the last complete pass
	complete bool      // as in DatasetStatus
	retries  int       // consecutive
	needs    int64     // bytes that must be free before a refresh begins, 0 if unknown
	failing  failing
	look     look
	retryAt  time.Time // when an unfinished refresh is tried again
}

// version is a version in the mirror.
type version struct {
	ref            manifest.Ref
	entries        int64
	published      int64 // bytes, 0 when unknown
	files, bytes   int64 // verified
	manifestDigest manifest.Digest
	selection      manifest.Globs // of the last pull
	fetched        time.Time      // the manifest
	last           *LastPass
}

// dataset returns the dataset of a name, and adds it if it is new.
func (d *Daemon) dataset(name string) *dataset {
	s := d.datasets[name]
	if s == nil {
		s = &dataset{name: name}
		d.datasets[name] = s
	}
	return s
}

// scheduled reports whether the schedule refreshes the dataset.
func (s *dataset) scheduled() bool { return s.settings != nil && s.settings.Schedule != nil }

// request is the request of a refresh.
func (s *dataset) request() PullRequest {
	return PullRequest{Ref: s.settings.Ref, Selection: s.settings.Selection, Sources: s.settings.Sources}
}

// refreshAt returns when the schedule's next refresh begins: in the past if it was missed,
// zero if there is none.
func (s *dataset) refreshAt(now time.Time) time.Time {
	if !s.scheduled() {
		return time.Time{}
	}
	broken := s.agenda.Refreshing && (s.running == nil || !s.running.fetches())
	switch {
	case broken && s.retryAt.IsZero(), s.agenda.Ref != s.settings.Ref:
		return now
	case broken:
		return earliest(s.retryAt, nextTime(s.settings.Schedule, s.agenda.Refreshed))
	}
	return nextTime(s.settings.Schedule, s.agenda.Refreshed)
}

// scrubAt does the same for scrubs.
func (s *dataset) scrubAt(scrub Scrub, now time.Time) time.Time {
	switch {
	case scrub.Schedule == nil || len(s.versions) == 0:
		return time.Time{}
	case s.agenda.Scrubbing:
		return now
	}
	return nextTime(scrub.Schedule, s.agenda.Scrubbed)
}

// correctClocks corrects times after the clock was set back.
func (d *Daemon) correctClocks(now time.Time) {
	if d.shortage != nil && d.shortage.until.Sub(now) > 2*longestRetry {
		d.shortage.until = now
	}
	for _, s := range d.datasets {
		if s.scheduled() {
			s.agenda.set(&s.agenda.Refreshed, correct(s.settings.Schedule, s.agenda.Refreshed, now))
		}
		if s.retryAt.Sub(now) > 2*longestRetry {
			s.retryAt = now
		}
		if t := s.agenda.Trouble; t != nil && t.Since.After(now) {
			t.Since, s.agenda.unsaved = now, true // otherwise nobody hears of it until then
		}
		switch schedule := d.settings.Scrub.Schedule; {
		case schedule == nil:
		case s.agenda.Scrubbed.IsZero():
			s.agenda.set(&s.agenda.Scrubbed, now) // the first scrub isn't due at once: everything was just fetched, or is about to be
		default:
			s.agenda.set(&s.agenda.Scrubbed, correct(schedule, s.agenda.Scrubbed, now))
		}
	}
}

func (a *agenda) set(t *time.Time, to time.Time) {
	if !t.Equal(to) {
		*t, a.unsaved = to, true
	}
}

// snapshot returns what to save, and marks it as saved.
func (a *agenda) snapshot() store.Agenda {
	a.unsaved = false
	saved := a.Agenda
	if a.Trouble != nil {
		trouble := *a.Trouble
		trouble.Told = slices.Clone(trouble.Told)
		saved.Trouble = &trouble
	}
	return saved
}

// hasAsked reports whether another pass waits in the queue.
func (s *dataset) hasAsked() bool {
	return slices.ContainsFunc(s.queue, func(p *pass) bool { return !p.held })
}

// takeAsked takes the first pass out of the queue that may begin. Held passes begin when
// passes may continue by themselves.
func (s *dataset) takeAsked(mayGoOn bool) *pass {
	i := slices.IndexFunc(s.queue, func(p *pass) bool { return !p.held || mayGoOn })
	if i < 0 {
		return nil
	}
	p := s.queue[i]
	s.queue = slices.Delete(s.queue, i, i+1)
	return p
}

// shown is the version whose numbers the status shows: the configured one, or the newest in
// the mirror.
func (s *dataset) shown() version {
	wanted := ""
	if s.settings != nil {
		wanted = s.settings.Ref.Version
	}
	for _, v := range s.versions {
		if wanted == "" || v.ref.Version == wanted {
			return v
		}
	}
	return version{ref: manifest.Ref{Dataset: s.name, Version: wanted}}
}

// count reads from the store which versions of a dataset the mirror has, and how many files
// each has. It takes over the counts in known.
func (d *Daemon) count(name string, known []version) ([]version, error) {
	all, err := d.o.Syncer.Store.Versions()
	if err != nil {
		return nil, err
	}
	var versions []version
	for _, v := range all {
		if v.Ref.Dataset != name {
			continue
		}
		n := version{ref: v.Ref, entries: v.Manifest.Entries, published: v.Bytes, manifestDigest: v.Manifest.Digest, fetched: v.Manifest.Fetched}
		if v.Selection != nil {
			n.selection = *v.Selection
		}
		i := slices.IndexFunc(known, func(k version) bool { return k.ref == n.ref && k.manifestDigest == n.manifestDigest })
		if i >= 0 {
			n.files, n.bytes = known[i].files, known[i].bytes
		} else if n.files, n.bytes, err = d.o.Syncer.Store.Totals(v.ID); err != nil {
			return nil, err
		}
		if n.last, err = LastPassOf(d.o.Syncer.Store, n.ref); err != nil {
			return nil, err
		}
		versions = append(versions, n)
	}
	slices.SortFunc(versions, func(a, b version) int { return manifest.CompareVersions(b.ref.Version, a.ref.Version) })
	return versions, nil
}
