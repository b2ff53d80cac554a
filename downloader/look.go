package downloader

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
)

// prepareToLook is prepare for a Tree that writes nothing in the mirror: manifests
// that it gets are kept in a folder of its own until Close.
func (t *Tree) prepareToLook() (err error) {
	if t.spare, err = os.MkdirTemp("", "mimicsync-manifests-*"); err != nil {
		return err
	}
	t.foldsCase = foldsCase(t.path)
	if t.folder, err = os.Open(t.path); err != nil {
		return err
	}
	t.folderFD = int(t.folder.Fd())
	fi, err := t.folder.Stat()
	if err != nil {
		return err
	}
	t.device = durable.Device(fi)
	return nil
}

// openToLook opens the mirror at path to look at it. Where there is none yet, an empty
// folder takes its place, and the room is that of the disk where it would be.
func openToLook(path string) (root *os.Root, at, ground string, empty bool, err error) {
	root, err = os.OpenRoot(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return root, path, path, false, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, "", "", false, err
	}
	if ground, err = nearest(absolute); err != nil {
		return nil, "", "", false, err
	}
	if at, err = os.MkdirTemp("", "mimicsync-mirror-*"); err != nil {
		return nil, "", "", false, err
	}
	root, err = os.OpenRoot(at)
	return root, at, ground, true, err
}

// foldsCase finds out by the names that a folder has whether its file system takes
// those for the same that differ only by case.
func foldsCase(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // opened for reading only
	names, err := f.Readdirnames(64)
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	for _, name := range names {
		other := strings.Map(func(r rune) rune {
			if unicode.IsUpper(r) {
				return unicode.ToLower(r)
			}
			return unicode.ToUpper(r)
		}, name)
		if other == name {
			continue
		}
		a, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		b, err := os.Lstat(filepath.Join(dir, other))
		return err == nil && os.SameFile(a, b)
	}
	return false
}

// manifests is the folder where a manifest that comes is kept.
func (t *Tree) manifests() string {
	if t.options.ReadOnly {
		return t.spare
	}
	return t.dir(manifestDir)
}

// openManifest opens a kept manifest by its digest.
func (t *Tree) openManifest(d manifest.Digest) (*os.File, error) {
	if t.options.ReadOnly {
		if f, err := os.Open(filepath.Join(t.spare, d.String())); err == nil {
			return f, nil
		}
	}
	return t.root.Open(manifestName(d))
}
