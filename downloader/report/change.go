package report

import "mimicsync/manifest"

// Change is what a pass did to a file of the mirror.
type Change struct {
	Kind   ChangeKind
	Path   string          // of the entry
	Digest manifest.Digest // that the entry has, or had if it was removed
}

// ChangeKind is the kind of a Change.
type ChangeKind string

// The kinds of changes.
const (
	Added    ChangeKind = "added"    // fetched, linked or adopted
	Replaced ChangeKind = "replaced" // another file had the name, and is in quarantine now
	Removed  ChangeKind = "removed"  // the manifest no longer lists it; the file stays
)
