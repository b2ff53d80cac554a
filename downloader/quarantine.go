package downloader

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"mimicsync/manifest"
)

// Quarantine counts files that were moved aside, because they were not what a
// manifest says. They stay until a person has them removed.
type Quarantine struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// quarantine moves a file of the mirror aside, where it is neither data nor
// lost, and returns its new place relative to the mirror.
func (t *Tree) quarantine(from string, ref manifest.Ref, p string) (string, error) {
	to := quarantineDir + "/" + t.name(ref, p)
	if err := t.root.MkdirAll(path.Dir(to), 0o700); err != nil {
		return "", err
	}
	free := to
	for n := 1; ; n++ {
		_, err := t.root.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		free = to + "." + strconv.Itoa(n)
	}
	return free, t.root.Rename(from, free)
}

// QuarantineOf counts what a mirror has in quarantine. Of ref, an empty part stands
// for all.
func QuarantineOf(mirror string, ref manifest.Ref) (q Quarantine, err error) {
	root, err := os.OpenRoot(filepath.Join(mirror, filepath.FromSlash(quarantineDir)))
	if errors.Is(err, fs.ErrNotExist) {
		return q, nil
	}
	if err != nil {
		return q, err
	}
	defer func() { _ = root.Close() }() // a folder
	err = fs.WalkDir(root.FS(), path.Join(".", ref.Dataset, ref.Version), func(_ string, d fs.DirEntry, err error) error {
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
	return q, err
}

// notGone is an error, unless it says that a file was removed meanwhile.
func notGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// EmptyQuarantine removes what QuarantineOf counts, and returns that. No pass may
// run meanwhile.
func (s *Syncer) EmptyQuarantine(ctx context.Context, ref manifest.Ref) (Quarantine, error) {
	t := s.Tree
	q, err := QuarantineOf(t.path, ref)
	if err != nil {
		return q, err
	}
	dir := path.Join(quarantineDir, ref.Dataset, ref.Version)
	entries, err := fs.ReadDir(t.root.FS(), dir)
	if err != nil {
		return q, notGone(err)
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return q, context.Cause(ctx)
		}
		if err := t.root.RemoveAll(path.Join(dir, e.Name())); err != nil {
			return q, err
		}
	}
	return q, nil
}
