package report

import (
	"bufio"
	"fmt"
	"io"

	"mimicsync/manifest"
)

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

// WriteChanges writes a line for each change: added, replaced or removed, the SHA-256 of the
// file and its path in the mirror, separated by tabs.
func WriteChanges(w io.Writer, ref manifest.Ref, changes []Change) error {
	b := bufio.NewWriter(w)
	for _, c := range changes {
		_, _ = fmt.Fprintf(b, "%s\t%s\t%s/%s/%s\n", c.Kind, c.Digest, ref.Dataset, ref.Version, c.Path) // Flush has the error
	}
	return b.Flush()
}
