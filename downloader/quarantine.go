package downloader

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"syscall"

	"mimicsync/manifest"
)

// Quarantine counts files that were moved aside, because they were not what a
// manifest says. They stay until a person has them removed.
type Quarantine struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// quarantine moves a file of the mirror aside, where it is neither data nor
// lost, and returns its new place relative to the mirror. That it was moved is not
// durable yet: the next sync makes it so, or syncMoves.
func (t *Tree) quarantine(from string, ref manifest.Ref, p string) (string, error) {
	for {
		to, err := t.moveTo(quarantineDir+"/"+t.asideName(ref, p, from), from)
		if err == nil {
			t.noteMove(from, to)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return to, err
		}
		if _, gone := t.root.Lstat(from); gone != nil {
			return "", err
		}
		// EmptyQuarantine has just removed the folder.
	}
}

// asideName is the place of a file in quarantine: that of its entry, if it is known
// what it was to be.
func (t *Tree) asideName(ref manifest.Ref, p, from string) string {
	if ref == (manifest.Ref{}) {
		return "unknown/" + path.Base(from)
	}
	return t.name(ref, p)
}

// noteMove remembers the folders of a move. A new folder's own name is in the one above.
func (t *Tree) noteMove(from, to string) {
	t.moves.add(path.Dir(from))
	for dir := path.Dir(to); len(dir) >= len(quarantineDir); dir = path.Dir(dir) {
		t.moves.add(dir)
	}
}

// moveTo gives a file another name or, where that is taken, the name with a number.
func (t *Tree) moveTo(name, from string) (string, error) {
	if err := t.root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return "", err
	}
	free := name
	for n := 1; ; n++ {
		_, err := t.root.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			return free, t.root.Rename(from, free)
		}
		if err != nil {
			return "", err
		}
		free = name + "." + strconv.Itoa(n)
	}
}

// QuarantineOf counts what a mirror has in quarantine. Of ref, an empty part stands
// for all.
func QuarantineOf(mirror string, ref manifest.Ref) (q Quarantine, err error) {
	root, err := openQuarantine(mirror)
	if err != nil {
		return q, notGone(err)
	}
	defer func() { _ = root.Close() }() // a folder
	return q, q.count(root, ref)
}

// EmptyQuarantine removes what QuarantineOf counts, and returns what was there when
// it began. Passes may run meanwhile, also those of other processes: nothing in there
// is theirs, and of what they add some is removed too.
func EmptyQuarantine(ctx context.Context, mirror string, ref manifest.Ref) (q Quarantine, err error) {
	root, err := openQuarantine(mirror)
	if err != nil {
		return q, notGone(err)
	}
	defer func() { _ = root.Close() }() // a folder
	if err := q.count(root, ref); err != nil {
		return q, err
	}
	dir := path.Join(".", ref.Dataset, ref.Version)
	entries, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return q, notGone(err)
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return q, context.Cause(ctx)
		}
		err := root.RemoveAll(path.Join(dir, e.Name()))
		if err != nil && !errors.Is(err, syscall.ENOTEMPTY) { // what was moved there meanwhile is for the next time
			return q, err
		}
	}
	return q, nil
}

func openQuarantine(mirror string) (*os.Root, error) {
	return os.OpenRoot(filepath.Join(mirror, filepath.FromSlash(quarantineDir)))
}

// count adds what lies below a root.
func (q *Quarantine) count(root *os.Root, ref manifest.Ref) error {
	return fs.WalkDir(root.FS(), path.Join(".", ref.Dataset, ref.Version), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return notGone(err)
		}
		fi, err := d.Info()
		if err == nil {
			q.Files++
			q.Bytes += fi.Size()
		}
		return notGone(err)
	})
}

// notGone is an error, unless it says that a file was removed meanwhile.
func notGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
