package tree

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"mimicsync/manifest"
	"mimicsync/store"
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
		folder, name := asidePlace(ref, p, from)
		to, err := t.moveTo(folder, name, from)
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

// asidePlace is the place of a file in quarantine, a folder and a name below it: that of
// its entry, if it is known what it was to be.
func asidePlace(ref manifest.Ref, p, from string) (folder, name string) {
	if ref == (manifest.Ref{}) {
		return quarantineDir + "/unknown", path.Base(from)
	}
	return quarantineDir + "/" + VersionDir(ref), p
}

// noteMove remembers the folders of a move. A new folder's own name is in the one above.
func (t *Tree) noteMove(from, to string) {
	t.moves.add(path.Dir(from))
	for dir := path.Dir(to); len(dir) >= len(quarantineDir); dir = path.Dir(dir) {
		t.moves.add(dir)
	}
}

// moveTo gives a file a name below a folder or, where that is taken, the name with a
// number.
func (t *Tree) moveTo(folder, p, from string) (string, error) {
	dir, err := t.makeRoom(folder, path.Dir(p))
	if err != nil {
		return "", err
	}
	for n := 0; ; n++ {
		free := path.Join(dir, numbered(path.Base(p), n))
		_, err := t.root.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			return free, t.rename(from, free)
		}
		if err != nil {
			return "", err
		}
	}
}

// makeRoom makes a folder below another one, and returns its name: one on the way has
// a number where a file stands in its place, which was moved aside when an entry of
// an older manifest had that name.
func (t *Tree) makeRoom(folder, below string) (string, error) {
	if err := t.root.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	for part := range strings.SplitSeq(below, "/") {
		for n := 0; ; n++ {
			at := path.Join(folder, numbered(part, n))
			err := t.root.Mkdir(at, 0o700)
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return "", err
			}
			fi, err := t.root.Lstat(at)
			if err != nil {
				return "", err
			}
			if fi.IsDir() {
				folder = at
				break
			}
		}
	}
	return folder, nil
}

// numbered is a name with a number, 0 for none. A long one, which may be as long as
// the file system takes, gives up as many characters as that adds.
func numbered(name string, n int) string {
	const long = 100 // shorter ones can grow on every file system
	if n == 0 {
		return name
	}
	suffix := "." + strconv.Itoa(n)
	if len(name) > long {
		for range suffix {
			_, size := utf8.DecodeLastRuneInString(name)
			name = name[:len(name)-size]
		}
	}
	return name + suffix
}

// QuarantineOf counts what a mirror has in quarantine. Of ref, an empty part stands
// for all.
func QuarantineOf(mirror string, ref manifest.Ref) (q Quarantine, err error) {
	folder, err := openQuarantine(mirror, ref)
	if err != nil {
		return q, notGone(err)
	}
	defer func() { _ = folder.Close() }() // nothing was written in it
	return q, q.count(folder)
}

// EmptyQuarantine removes what QuarantineOf counts, and returns what was there when
// it began. Passes may run meanwhile, also those of other processes: nothing in there
// is theirs, and of what they add some is removed too. Where somebody else's folder lies
// in it, nothing is removed.
func EmptyQuarantine(ctx context.Context, mirror string, ref manifest.Ref) (q Quarantine, err error) {
	folder, err := openQuarantine(mirror, ref)
	if err != nil {
		return q, notGone(err)
	}
	defer func() { _ = folder.Close() }() // that a name is gone may be lost
	if err := q.count(folder); err != nil {
		return q, err
	}
	entries, err := fs.ReadDir(folder.Root().FS(), ".")
	if err != nil {
		return q, notGone(err)
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return q, context.Cause(ctx)
		}
		err := folder.Root().RemoveAll(e.Name())
		if err != nil && !errors.Is(err, syscall.ENOTEMPTY) { // what was moved there meanwhile is for the next time
			return q, err
		}
	}
	return q, nil
}

// openQuarantine opens the folder in quarantine that has what is asked for.
func openQuarantine(mirror string, ref manifest.Ref) (*store.Folder, error) {
	folder, err := store.OpenFolder(mirror)
	for _, name := range []string{path.Base(quarantineDir), ref.Dataset, ref.Version} {
		if err != nil || name == "" {
			break
		}
		above := folder
		folder, err = above.Sub(name)
		_ = above.Close() // nothing was written in it
	}
	return folder, err
}

// count adds what lies in a folder.
func (q *Quarantine) count(folder *store.Folder) error {
	return fs.WalkDir(folder.Root().FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return notGone(err)
		}
		fi, err := d.Info()
		switch {
		case err != nil:
			return notGone(err)
		case !d.IsDir():
			q.Files++
			q.Bytes += fi.Size()
		default:
			return folder.Check(name, fi, fs.ModeDir)
		}
		return nil
	})
}

// notGone is an error, unless it says that a file was removed meanwhile.
func notGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
