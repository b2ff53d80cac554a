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

// Quarantine counts the files in quarantine: they didn't match their manifest, and stay
// until someone removes them, see EmptyQuarantine.
type Quarantine struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// quarantine moves a file of the mirror to quarantine and returns its new name. The move
// isn't durable until the next sync or SyncMoves.
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

// asidePlace returns the folder and name of a file in quarantine: those of its entry, if
// known.
func asidePlace(ref manifest.Ref, p, from string) (folder, name string) {
	if ref == (manifest.Ref{}) {
		return quarantineDir + "/unknown", path.Base(from)
	}
	return quarantineDir + "/" + VersionDir(ref), p
}

// noteMove remembers the folders of a move for the next sync, including those above: the
// name of a new folder is in its parent.
func (t *Tree) noteMove(from, to string) {
	t.moves.add(path.Dir(from))
	for dir := path.Dir(to); len(dir) >= len(quarantineDir); dir = path.Dir(dir) {
		t.moves.add(dir)
	}
}

// moveTo moves a file to a name below a folder. If the name is taken, it appends a number.
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

// makeRoom creates a folder below another one and returns its name. It appends a number to
// the name of a folder if there is a file in its place: an entry of an older manifest had
// that name.
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

// numbered returns name with a number appended, unless n is 0. A long name, which may be as
// long as the file system allows, loses as many characters as the number adds.
func numbered(name string, n int) string {
	const long = 100 // shorter names may grow on any file system
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

// QuarantineOf counts the files in the quarantine of a mirror. An empty field of ref
// matches everything.
func QuarantineOf(mirror string, ref manifest.Ref) (q Quarantine, err error) {
	folder, err := openQuarantine(mirror, ref)
	if err != nil {
		return q, notGone(err)
	}
	defer func() { _ = folder.Close() }() // nothing was written in it
	return q, q.count(folder)
}

// EmptyQuarantine removes the files that QuarantineOf counts, and returns their number
// when it began. Passes may run meanwhile, also in other processes; some of the files that
// they add are removed too. If another user's folder is in the quarantine, nothing is
// removed.
func EmptyQuarantine(ctx context.Context, mirror string, ref manifest.Ref) (q Quarantine, err error) {
	folder, err := openQuarantine(mirror, ref)
	if err != nil {
		return q, notGone(err)
	}
	defer func() { _ = folder.Close() }() // a removal needn't be durable
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
		if err != nil && !errors.Is(err, syscall.ENOTEMPTY) { // files that were added meanwhile stay until the next time
			return q, err
		}
	}
	return q, nil
}

// openQuarantine opens the folder of a dataset or version in quarantine.
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

// count adds the files in a folder.
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

// notGone returns err, or nil if it means that a file was removed meanwhile.
func notGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
