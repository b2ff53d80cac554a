package daemon

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// changesFolder is the folder in .mimicsync with the changes of each version.
const changesFolder = "changes"

// ChangesFile is the file with what passes have changed in a version since its last complete
// pass ended, that pass included: see WriteChanges for its lines. A hook may read it; the
// next pass that changes something after a complete one begins it again.
func ChangesFile(mirror string, ref manifest.Ref) string {
	return filepath.Join(mirror, store.Dir, changesFolder, changesName(ref))
}

func changesName(ref manifest.Ref) string { return ref.Dataset + "-" + ref.Version + ".tsv" }

// WriteChanges writes a line for each change: added, replaced or removed, the SHA-256 of the
// file and its path in the mirror, separated by tabs.
func WriteChanges(w io.Writer, ref manifest.Ref, changes []report.Change) error {
	b := bufio.NewWriter(w)
	for _, c := range changes {
		_, _ = fmt.Fprintf(b, "%s\t%s\t%s/%s/%s\n", c.Kind, c.Digest, ref.Dataset, ref.Version, c.Path) // Flush has the error
	}
	return b.Flush()
}

// Changes keeps the ChangesFiles of a mirror. It is safe for concurrent use.
type Changes struct {
	Mirror string
	Store  *store.Store

	mu sync.Mutex
}

// Note appends changes to the file of a version. It is a downloader.Options.Changes.
func (c *Changes) Note(ref manifest.Ref, changes []report.Change) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, err := c.open(ref)
	if err != nil {
		return fmt.Errorf("keep the list of changes: %w", err)
	}
	err = WriteChanges(f, ref, changes)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// open opens a file to append to it, and empties it if a complete pass has ended since it
// was written.
func (c *Changes) open(ref manifest.Ref) (*os.File, error) {
	own, err := store.OpenFolder(c.Mirror)
	if err != nil {
		return nil, err
	}
	defer func() { _ = own.Close() }() // the changes need not survive a power cut: what follows it tells them again
	folder, err := own.MakeSub(changesFolder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }() // likewise
	f, err := folder.OpenFile(changesName(ref), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && fi.Size() > 0 {
		var last []store.Pass
		if last, err = c.Store.Passes(ref, 1); err == nil && len(last) > 0 && last[0].State == store.Complete && !fi.ModTime().After(last[0].Start.Add(last[0].Elapsed)) {
			err = f.Truncate(0)
		}
	}
	if err != nil {
		_ = f.Close() // nothing was written to it
		return nil, err
	}
	return f, nil
}
