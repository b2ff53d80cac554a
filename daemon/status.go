package daemon

import (
	"slices"
	"time"

	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Condition says in one word how a dataset stands. The page and the API show it.
type Condition string

// The conditions of a dataset.
const (
	Idle    Condition = "idle"     // nothing to do before the next refresh
	Queued  Condition = "queued"   // a pass is due and starts as soon as it may
	Running Condition = "running"  // a pass or a verification runs
	Closed  Condition = "closed"   // a pass is due, and the run window is closed
	Paused  Condition = "paused"   // by a person, until resumed
	Parked  Condition = "parked"   // a person must act first, see Why and Cure; tried again on schedule
	Failing Condition = "failing"  // the last pass failed, and is tried again by itself
	Limited Condition = "limited"  // the last pass came to its limit on bytes or time; the next refresh goes on
	NoSpace Condition = "no_space" // a pass is due, and waits for room on the disk
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

// Status is what a daemon is, has and does at one moment. Its JSON form is that
// of the API.
type Status struct {
	Program string    `json:"program"` // its version
	Mirror  string    `json:"mirror"`
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"`
	// Paused says that all datasets are paused.
	Paused bool `json:"paused"`
	// Window says whether passes may run by the clock, and until when that holds;
	// Changes is zero where they may always.
	Window Window `json:"window"`
	// BWLimit is the limit in force, as a person wrote it, and BytesLimit what
	// it allows at this moment, 0 for no limit.
	BWLimit    string          `json:"bwlimit"`
	BytesLimit int64           `json:"bwlimit_bytes_per_s"`
	Rate       int64           `json:"bytes_per_s"` // received over the last seconds, of all passes
	Free       int64           `json:"free_bytes"`  // on the mirror's disk
	Hosts      []Host          `json:"hosts"`
	Datasets   []DatasetStatus `json:"datasets"` // sorted by name
}

// Window is whether passes may run.
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
	// Why says in words what keeps Limit where it is.
	Why string `json:"why"`
}

// DatasetStatus is one dataset: of the configuration, or of the mirror alone.
type DatasetStatus struct {
	Dataset string `json:"dataset"`
	// Version is the one that the numbers are of: the configured one, or the
	// newest that the mirror has.
	Version   string    `json:"version,omitempty"`
	Latest    bool      `json:"latest"`    // follows new versions
	Scheduled bool      `json:"scheduled"` // it is refreshed by itself
	Condition Condition `json:"condition"`
	Why       string    `json:"why,omitempty"`  // it is not idle, in a sentence
	Cure      string    `json:"cure,omitempty"` // the page to open or the command to type
	// Waiting is what keeps it from going on at this moment, nil if nothing does or
	// nothing is left to do.
	Waiting *progress.Wait `json:"waiting,omitempty"`

	Entries   int64 `json:"entries"`         // of the manifest
	Files     int64 `json:"files"`           // verified
	Bytes     int64 `json:"bytes"`           // verified, with what has come in the pass that runs
	Published int64 `json:"published_bytes"` // of the whole version, 0 when unknown
	// Complete says that all is here that the last refresh or pull wanted, which
	// may be less than all entries, and that no verification since found
	// otherwise.
	Complete bool `json:"complete"`

	Next        time.Time   `json:"next,omitzero"`         // refresh
	NextScrub   time.Time   `json:"next_scrub,omitzero"`   //
	LastSuccess time.Time   `json:"last_success,omitzero"` // end of the last complete pass
	Pass        *PassStatus `json:"pass,omitempty"`        // the one that runs
	Last        *PassStatus `json:"last_pass,omitempty"`   // the one that ended last
	// Versions are all that the mirror has, the newest first.
	Versions []VersionStatus `json:"versions,omitempty"`
}

// VersionStatus is what the mirror has of one version.
type VersionStatus struct {
	Version   string `json:"version"`
	Entries   int64  `json:"entries"`         // of the manifest
	Files     int64  `json:"files"`           // verified
	Bytes     int64  `json:"bytes"`           // verified
	Published int64  `json:"published_bytes"` // of the whole version, 0 when unknown
	// Manifest is when it was fetched.
	Manifest time.Time `json:"manifest_fetched,omitzero"`
	Last     *LastPass `json:"last_pass,omitempty"`
}

// LastPass is the last pass over a version, as the history has it.
type LastPass struct {
	Kind     string          `json:"kind,omitempty"` // pull, refresh, verify or scrub
	Start    time.Time       `json:"start"`
	Elapsed  float64         `json:"elapsed_s"`
	State    store.State     `json:"state"`
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
	p := passes[0]
	return &LastPass{p.Kind, p.Start, p.Elapsed.Seconds(), p.State, p.Files, p.Error, p.Failures}, nil
}

// PassStatus is a pass, while it runs or after.
type PassStatus struct {
	// ID is unique in the life of the daemon, from 1; 0 for passes before it.
	// Start is zero while the pass is queued.
	ID      int64          `json:"id"`
	Kind    Kind           `json:"kind"`
	Dataset string         `json:"dataset"`
	Version string         `json:"version,omitempty"` // empty until it is known
	State   store.State    `json:"state"`
	Phase   progress.Phase `json:"phase"`
	Start   time.Time      `json:"start"`
	Elapsed float64        `json:"elapsed_s"`
	// What downloader.Progress has.
	Total       int64 `json:"files_total"`
	Done        int64 `json:"files_done"`
	Failed      int64 `json:"files_failed"`
	Examined    int64 `json:"bytes_examined"`
	Expected    int64 `json:"bytes_expected"`
	Fetched     int64 `json:"bytes_fetched"`
	Retries     int64 `json:"retries"`
	Connections int64 `json:"connections"`
	Rate        int64 `json:"bytes_per_s"`
	Left        int64 `json:"left_s"` // seconds to go at this rate, 0 when unknown
	// Waits is what it waits for at this moment: requests that are tried again
	// later, of many the first ones, or what it is queued behind.
	Waits []progress.Wait `json:"waits,omitempty"`

	Err      error           `json:"-"` // why the pass ended early; Error and Cure are for people
	Error    string          `json:"error,omitempty"`
	Cure     string          `json:"cure,omitempty"`
	Failures []store.Failure `json:"failures,omitempty"` // the first ones
	// Report and Verification are the result, of one kind or the other, once the
	// pass has ended. They are left out of Status.
	Report       *report.Report       `json:"report,omitempty"`
	Verification *report.Verification `json:"verification,omitempty"`
}

// Sample is what was received in a stretch of time, for charts.
type Sample struct {
	At    time.Time `json:"at"` // its start
	Bytes int64     `json:"bytes"`
}

// PullRequest is a pass that a person asks for.
type PullRequest struct {
	Ref manifest.Ref // without a version, of the newest
	// Selection is that of the configuration if it selects all: nobody who presses
	// a button means the terabytes that the configuration leaves out.
	Selection manifest.Selection
	Sources   []string // in order of preference; those of the configuration if empty
	// AcceptManifest takes over a manifest that lists far fewer files than before.
	AcceptManifest bool
}

// equal reports whether two requests ask for the same.
func (r PullRequest) equal(other PullRequest) bool {
	return r.Ref == other.Ref && r.AcceptManifest == other.AcceptManifest && r.Selection.Equal(other.Selection) && slices.Equal(r.Sources, other.Sources)
}
