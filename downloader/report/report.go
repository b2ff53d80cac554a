// Package report is what a pull, a plan, a verification and a pruning found: the results
// that people read, and programs as JSON. Their JSON form is a contract with scripts.
package report

import (
	"slices"
	"time"

	"mimicsync/downloader/cost"
	"mimicsync/manifest"
	"mimicsync/store"
)

// MaxFailures bounds the failures that a report lists one by one; all are counted.
const MaxFailures = 10_000

// Report is the result of one pass. Its JSON form is a contract with programs.
type Report struct {
	Dataset  string          `json:"dataset"`
	Version  string          `json:"version"`
	State    store.State     `json:"state"`
	Files    store.Files     `json:"files"`
	Bytes    store.Bytes     `json:"bytes"`
	Failures []store.Failure `json:"failures"`
	// ManifestFrom is the source that the manifest in force came from, and
	// Sources is what each source did, in order of preference. Both are left out
	// where one source is asked for everything.
	ManifestFrom string         `json:"manifest_from,omitempty"`
	Sources      []SourceReport `json:"sources,omitempty"`
	// Quarantined are files that were found in the mirror, were wrong, and were
	// moved aside.
	Quarantined []Quarantined `json:"quarantined,omitempty"`
	// Collisions are entries that can be beside each other here, but not on a
	// file system that does not tell case apart.
	Collisions []manifest.Collision `json:"collisions,omitempty"`
	Elapsed    time.Duration        `json:"-"`
	// Left counts selected entries that are not in the mirror yet.
	Left int64 `json:"left,omitempty"`
	// LeftBytes is about how many bytes those are, 0 when unknown.
	LeftBytes int64 `json:"left_bytes,omitempty"`
	// AuthorityErr is why the authority was not heard about the manifest, nil if
	// it was.
	AuthorityErr error `json:"-"`
	Err          error `json:"-"` // why the pass ended early, nil when it did not
}

// SourceReport is what one source did in a pass.
type SourceReport struct {
	Name  string `json:"name"`
	Files int64  `json:"files"` // that it gave, or the end of which
	// Bytes are those that it gave of all files fetched. What of them had come in
	// an earlier pass is in no source's.
	Bytes   int64      `json:"bytes"`
	Cost    cost.Money `json:"cost_usd,omitempty"` // what all that it sent cost its reader, by its price
	Failed  int64      `json:"failed"`             // entries that it was asked for and did not give
	Dropped string     `json:"dropped,omitempty"`  // why the pass gave it up
	Err     error      `json:"-"`                  // the same as an error
}

// Quarantined is a file that was moved aside.
type Quarantined struct {
	Path string `json:"path"` // of the entry
	To   string `json:"to"`   // relative to the mirror
}

// Verification is what Verify or Scrub found.
type Verification struct {
	Dataset  string `json:"dataset"`
	Version  string `json:"version"`
	Total    int64  `json:"total"`            // selected entries of the manifest
	Verified int64  `json:"verified"`         // read, and right
	Bytes    int64  `json:"bytes"`            // of those
	Recent   int64  `json:"recent,omitempty"` // not read, for they were since ScrubOptions.Before
	Wrong    int64  `json:"wrong"`            // read, and not what the manifest says
	Missing  int64  `json:"missing"`          // recorded, and gone
	// Unreadable are those that the disk or the system does not let be read, and
	// what is no file.
	Unreadable int64           `json:"unreadable"`
	Absent     int64           `json:"absent"`   // never fetched
	Failures   []store.Failure `json:"failures"` // the first of the wrong, the missing and the unreadable
	// Quarantined are the wrong ones that were moved aside.
	Quarantined []Quarantined `json:"quarantined,omitempty"`
	Elapsed     time.Duration `json:"-"` // elapsed_s
}

// Failed counts what is to be fetched again: the wrong, the missing and the
// unreadable.
func (v *Verification) Failed() int64 { return v.Wrong + v.Missing + v.Unreadable }

// Pruned is what pruning takes of a version, or would take.
type Pruned struct {
	Dataset string `json:"dataset"`
	Version string `json:"version"`
	Files   int64  `json:"files"` // that are as their records say
	Bytes   int64  `json:"bytes"` // of those
	// Shared counts the files among them that have another name, in another version
	// or elsewhere: their bytes stay. Freed is the bytes of the others.
	Shared int64 `json:"shared"`
	Freed  int64 `json:"freed"`
	// Left are the first files that stay because no record speaks of them, relative
	// to the mirror, and LeftFiles counts all. They are known once it is done.
	Left      []string `json:"left,omitempty"`
	LeftFiles int64    `json:"left_files"`
}

// AddEarlier counts what was fetched before the manifest was made anew: the survey
// since has found it present.
func (r *Report) AddEarlier(e *Report) {
	if e == nil {
		return
	}
	came := e.Files.Fetched + e.Files.Adopted + e.Files.Linked
	replaced := max(came-r.Files.Present, 0) // fetched, and then again by the new manifest
	r.Files.Present -= came - replaced
	r.Files.Fetched += max(e.Files.Fetched-replaced, 0)
	r.Files.Adopted += e.Files.Adopted
	r.Files.Linked += e.Files.Linked
	r.Bytes.Present = max(r.Bytes.Present-e.Bytes.Fetched-e.Bytes.Adopted-e.Bytes.Linked, 0)
	r.Bytes.Fetched += e.Bytes.Fetched
	r.Bytes.Adopted += e.Bytes.Adopted
	r.Bytes.Linked += e.Bytes.Linked
	r.Bytes.Discarded += e.Bytes.Discarded
	r.Quarantined = slices.Concat(e.Quarantined, r.Quarantined)
}
