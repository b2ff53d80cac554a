package daemon

import (
	"slices"
	"time"

	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Condition is the state of a dataset in one word. The page and the API show it.
type Condition string

// The conditions of a dataset.
const (
	Idle    Condition = "idle"     // nothing to do before the next refresh
	Queued  Condition = "queued"   // a pass is due and starts as soon as it can
	Running Condition = "running"  // a pass or a verification runs
	Closed  Condition = "closed"   // a pass is due, and the run window is closed
	Paused  Condition = "paused"   // by a person, until resumed
	Parked  Condition = "parked"   // a person must act first, see Why and Cure; tried again on schedule
	Failing Condition = "failing"  // the last pass failed; it is tried again automatically
	Limited Condition = "limited"  // the last pass reached its limit on bytes or time; the next refresh continues
	NoSpace Condition = "no_space" // a pass is due, and waits for free disk space
)

// Kind is what a pass does.
type Kind string

// The kinds of passes.
const (
	RefreshPass Kind = "refresh" // started by the schedule
	PullPass    Kind = "pull"    // asked for by a person
	VerifyPass  Kind = "verify"  // re-reads the mirror, asked for by a person
	ScrubPass   Kind = "scrub"   // the same, started by the schedule
)

// fetches reports whether it is a pass in the sense of the downloader.
func (k Kind) fetches() bool { return k == PullPass || k == RefreshPass }

// Status is the state of a daemon at one moment. Its JSON form is that of the API.
type Status struct {
	Program string    `json:"program"` // its version
	Mirror  string    `json:"mirror"`
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"`
	// Paused says that all datasets are paused.
	Paused bool `json:"paused"`
	// Window says whether passes may run now, and until when that holds; Changes is zero if
	// it always holds.
	Window Window `json:"window"`
	// BWLimit is the limit in force, as configured; BytesLimit is what it allows now, 0 for
	// no limit.
	BWLimit    string          `json:"bwlimit"`
	BytesLimit int64           `json:"bwlimit_bytes_per_s"`
	Rate       int64           `json:"bytes_per_s"` // received over the last seconds, by all passes
	Free       int64           `json:"free_bytes"`  // on the mirror's disk
	Hosts      []Host          `json:"hosts"`
	Datasets   []DatasetStatus `json:"datasets"` // sorted by name
}

// Window says whether passes may run.
type Window struct {
	Open    bool      `json:"open"`
	Changes time.Time `json:"changes,omitzero"`
}

// Host is the connections to the host of one source.
type Host struct {
	Source  string `json:"source"`
	Used    int    `json:"connections"`
	Limit   int    `json:"limit"`   // as many as help, or as the host allows
	Ceiling int    `json:"ceiling"` // never more
	// Why says what keeps Limit where it is.
	Why string `json:"why"`
}

// DatasetStatus is a dataset of the configuration or the mirror.
type DatasetStatus struct {
	Dataset string `json:"dataset"`
	// Version is the version that the numbers describe: the configured one, or the newest
	// in the mirror.
	Version   string    `json:"version,omitempty"`
	Latest    bool      `json:"latest"`    // it follows new versions
	Scheduled bool      `json:"scheduled"` // the schedule refreshes it
	Condition Condition `json:"condition"`
	Why       string    `json:"why,omitempty"`  // why it isn't idle, in a sentence
	Cure      string    `json:"cure,omitempty"` // the page to open or the command to type
	// Waiting is what it waits for now, nil if nothing.
	Waiting *progress.Wait `json:"waiting,omitempty"`

	Entries   int64          `json:"entries"`            // of the manifest
	Files     int64          `json:"files"`              // verified
	Bytes     int64          `json:"bytes"`              // verified, including what the running pass has received
	Published int64          `json:"published_bytes"`    // of the whole version, 0 when unknown
	Selection manifest.Globs `json:"selection,omitzero"` // of the last pull; none if it selected all
	// Complete says that everything that the last refresh or pull selected is here, which
	// may be less than all entries, and that no verification has found otherwise since.
	Complete bool `json:"complete"`

	Next        time.Time   `json:"next,omitzero"`         // refresh
	NextScrub   time.Time   `json:"next_scrub,omitzero"`   //
	LastSuccess time.Time   `json:"last_success,omitzero"` // end of the last complete pass
	Pass        *PassStatus `json:"pass,omitempty"`        // the running pass
	Last        *PassStatus `json:"last_pass,omitempty"`   // the last pass that ended
	// Versions are all versions in the mirror, newest first.
	Versions []VersionStatus `json:"versions,omitempty"`
}

// VersionStatus is a version in the mirror.
type VersionStatus struct {
	Version   string         `json:"version"`
	Entries   int64          `json:"entries"`            // of the manifest
	Files     int64          `json:"files"`              // verified
	Bytes     int64          `json:"bytes"`              // verified
	Published int64          `json:"published_bytes"`    // of the whole version, 0 when unknown
	Selection manifest.Globs `json:"selection,omitzero"` // of the last pull; none if it selected all
	// Manifest is when the manifest was fetched.
	Manifest time.Time `json:"manifest_fetched,omitzero"`
	Last     *LastPass `json:"last_pass,omitempty"`
}

// LastPass is the last pass over a version, from the history.
type LastPass struct {
	Kind    string      `json:"kind,omitempty"` // pull, refresh, verify or scrub
	Start   time.Time   `json:"start"`
	Elapsed float64     `json:"elapsed_s"`
	State   store.State `json:"state"`
	// Complete says that the last pass that fetched got everything that it selected: this one,
	// or one before the verifications since.
	Complete bool            `json:"complete"`
	Files    store.Files     `json:"files"`
	Error    string          `json:"error,omitempty"`
	Failures []store.Failure `json:"failures,omitempty"` // the first 20
}

// LastPassOf reads it from the store. It is nil if there was none.
func LastPassOf(s *store.Store, ref manifest.Ref) (*LastPass, error) {
	passes, err := s.Passes(ref, 1)
	if err != nil || len(passes) == 0 {
		return nil, err
	}
	fetch, known, err := lastFetch(s, ref)
	p := passes[0]
	return &LastPass{p.Kind, p.Start, p.Elapsed.Seconds(), p.State, known && fetch.State == store.Complete, p.Files, p.Error, p.Failures}, err
}

// PassStatus is a pass, during or after its run.
type PassStatus struct {
	// ID is unique while the daemon runs, from 1; 0 for earlier passes. Start is zero while
	// the pass is queued.
	ID      int64          `json:"id"`
	Kind    Kind           `json:"kind"`
	Dataset string         `json:"dataset"`
	Version string         `json:"version,omitempty"` // empty until it is known
	State   store.State    `json:"state"`
	Phase   progress.Phase `json:"phase"`
	Start   time.Time      `json:"start"`
	Elapsed float64        `json:"elapsed_s"`
	// From progress.Progress.
	Total       int64 `json:"files_total"`
	Done        int64 `json:"files_done"`
	Failed      int64 `json:"files_failed"`
	Examined    int64 `json:"bytes_examined"`
	Expected    int64 `json:"bytes_expected"`
	Fetched     int64 `json:"bytes_fetched"`
	Retries     int64 `json:"retries"`
	Connections int64 `json:"connections"`
	Rate        int64 `json:"bytes_per_s"`
	Left        int64 `json:"left_s"` // seconds left at this rate, 0 when unknown
	// Waits is what it waits for now: requests that are tried again later (if there are
	// many, the first ones), or the passes before it.
	Waits []progress.Wait `json:"waits,omitempty"`

	Err      error           `json:"-"` // why the pass ended early; Error and Cure are for people
	Error    string          `json:"error,omitempty"`
	Cure     string          `json:"cure,omitempty"`
	Failures []store.Failure `json:"failures,omitempty"` // the first ones
	// Report or Verification is the result, depending on the kind, once the pass has ended.
	// Status leaves them out.
	Report       *report.Report       `json:"report,omitempty"`
	Verification *report.Verification `json:"verification,omitempty"`
}

// Sample is what was received in a period of time, for charts.
type Sample struct {
	At    time.Time `json:"at"` // its start
	Bytes int64     `json:"bytes"`
}

// PullRequest is a pass that a person asks for.
type PullRequest struct {
	Ref manifest.Ref // without a version: the newest
	// Selection is that of the configuration if it selects everything: a person who presses
	// a button doesn't want the terabytes that the configuration leaves out.
	Selection manifest.Selection
	Sources   []string // in order of preference; those of the configuration if empty
	// AcceptManifest accepts a manifest that lists far fewer files than before.
	AcceptManifest bool
}

// equal reports whether two requests ask for the same.
func (r PullRequest) equal(other PullRequest) bool {
	return r.Ref == other.Ref && r.AcceptManifest == other.AcceptManifest && r.Selection.Equal(other.Selection) && slices.Equal(r.Sources, other.Sources)
}
