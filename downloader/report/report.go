// Package report holds the results of pulls, plans, verifications and prunes, for people
// and, as JSON, for programs. The JSON form is a contract.
package report

import (
	"slices"
	"time"

	"mimicsync/downloader/cost"
	"mimicsync/manifest"
	"mimicsync/store"
)

// MaxFailures limits the failures that a report lists; all are counted.
const MaxFailures = 10_000

// Report is the result of one pass. Its JSON form is a contract with programs.
type Report struct {
	Dataset  string          `json:"dataset"`
	Version  string          `json:"version"`
	State    store.State     `json:"state"`
	Files    store.Files     `json:"files"`
	Bytes    store.Bytes     `json:"bytes"`
	Failures []store.Failure `json:"failures"`
	// ManifestFrom is the source of the manifest in force, and Sources is what each source
	// did, in order of preference. Both are left out if there is one source only.
	ManifestFrom string         `json:"manifest_from,omitempty"`
	Sources      []SourceReport `json:"sources,omitempty"`
	// Quarantined are files found wrong in the mirror and moved to quarantine.
	Quarantined []Quarantined `json:"quarantined,omitempty"`
	// Collisions are entries that can coexist here, but not on a file system that ignores
	// case.
	Collisions []manifest.Collision `json:"collisions,omitempty"`
	Elapsed    time.Duration        `json:"-"`
	// Left counts selected entries that are not in the mirror yet.
	Left int64 `json:"left,omitempty"`
	// LeftBytes is about how many bytes those have; 0 if unknown.
	LeftBytes int64 `json:"left_bytes,omitempty"`
	// AuthorityErr is why the authority couldn't be asked for the manifest; nil if it was.
	AuthorityErr error `json:"-"`
	Err          error `json:"-"` // why the pass ended early; nil if it didn't
}

// SourceReport is what one source did in a pass.
type SourceReport struct {
	Name  string `json:"name"`
	Files int64  `json:"files"` // that it served, or the end of which
	// Bytes are the bytes that it served of fetched files. Bytes from an earlier pass count
	// for no source.
	Bytes   int64      `json:"bytes"`
	Cost    cost.Money `json:"cost_usd,omitempty"` // what everything it sent cost the reader
	Failed  int64      `json:"failed"`             // entries that it was asked for and didn't serve
	Dropped string     `json:"dropped,omitempty"`  // why the pass stopped using it
	Err     error      `json:"-"`                  // the same as an error
}

// Quarantined is a file that was moved to quarantine.
type Quarantined struct {
	Path string `json:"path"` // of the entry
	To   string `json:"to"`   // relative to the mirror
}

// Verification is the result of Verify or Scrub.
type Verification struct {
	Dataset  string `json:"dataset"`
	Version  string `json:"version"`
	Total    int64  `json:"total"`            // selected entries of the manifest
	Verified int64  `json:"verified"`         // read and right
	Bytes    int64  `json:"bytes"`            // of those
	Recent   int64  `json:"recent,omitempty"` // skipped, verified since ScrubOptions.Before
	Wrong    int64  `json:"wrong"`            // read, and unlike the manifest
	Missing  int64  `json:"missing"`          // recorded, and gone
	// Unreadable counts files that the disk or the system doesn't allow to read, and things
	// that are no files.
	Unreadable int64           `json:"unreadable"`
	Absent     int64           `json:"absent"`               // wanted by the last pull, and never fetched
	Unselected int64           `json:"unselected,omitempty"` // never fetched, and not known to be wanted
	Failures   []store.Failure `json:"failures"`             // the first of the wrong, missing and unreadable ones
	Selection  manifest.Globs  `json:"selection,omitzero"`   // of the last pull; none if it selected all
	// Quarantined are the wrong files that were moved.
	Quarantined []Quarantined `json:"quarantined,omitempty"`
	Elapsed     time.Duration `json:"-"` // elapsed_s
}

// Failed counts what must be fetched again: the wrong, missing and unreadable files.
func (v *Verification) Failed() int64 { return v.Wrong + v.Missing + v.Unreadable }

// Pruned is what pruning removed from a version, or would remove.
type Pruned struct {
	Dataset string `json:"dataset"`
	Version string `json:"version"`
	Files   int64  `json:"files"` // that match their records
	Bytes   int64  `json:"bytes"` // of those
	// Shared counts those that have another name, in another version or elsewhere: their
	// bytes stay. Freed is the bytes of the others.
	Shared int64 `json:"shared"`
	Freed  int64 `json:"freed"`
	// Left are the first files that stay because they have no record, relative to the
	// mirror, and LeftFiles counts all. They are known afterwards.
	Left      []string `json:"left,omitempty"`
	LeftFiles int64    `json:"left_files"`
}

// AddEarlier adds what was fetched before the manifest was renewed; the survey since then
// found it present.
func (r *Report) AddEarlier(e *Report) {
	if e == nil {
		return
	}
	came := e.Files.Fetched + e.Files.Adopted + e.Files.Linked
	replaced := max(came-r.Files.Present, 0) // fetched twice, the second time by the new manifest
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
