package daemon

import (
	"fmt"
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
// pull or refresh ended, that one included: see report.WriteChanges for its lines. A hook may read it; the
// next change after it begins the file again. Until something changes, there is no file.
func ChangesFile(mirror string, ref manifest.Ref) string {
	return filepath.Join(mirror, store.Dir, changesFolder, changesName(ref))
}

func changesName(ref manifest.Ref) string { return ref.Dataset + "-" + ref.Version + ".tsv" }

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
	err = report.WriteChanges(f, ref, changes)
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
	if err = c.beginAgain(f, ref); err != nil {
		_ = f.Close() // nothing was written to it
		return nil, err
	}
	return f, nil
}

// beginAgain empties a file that was last written before a complete pass ended.
func (c *Changes) beginAgain(f *os.File, ref manifest.Ref) error {
	fi, err := f.Stat()
	if err != nil || fi.Size() == 0 {
		return err
	}
	last, known, err := lastFetch(c.Store, ref)
	if err != nil || !known || last.State != store.Complete || fi.ModTime().After(last.Start.Add(last.Elapsed)) {
		return err
	}
	return f.Truncate(0)
}
