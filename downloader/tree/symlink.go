package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"mimicsync/manifest"
)

// SymlinkError says that a symlink stands where the mirror would have a file or a
// folder of its own. What it leads to is somebody else's, right or wrong: it is not
// read as if it were the mirror's, not written through, and not replaced.
type SymlinkError struct {
	Path   string // relative to the mirror
	Folder bool   // a folder should be there
}

// Error says what a person can do about it.
func (e *SymlinkError) Error() string {
	if e.Folder {
		return fmt.Sprintf("%v: %s is a symlink, and mimicsync does not write through one: put a folder in its place, or name the mirror's real place with --mirror",
			manifest.ErrUnsafePath, e.Path)
	}
	return fmt.Sprintf("%v: %s is a symlink, and mimicsync neither follows nor replaces one: put the file itself in its place, as with cp --remove-destination, or remove it",
		manifest.ErrUnsafePath, e.Path)
}

// Unwrap makes errors.Is(err, manifest.ErrUnsafePath) true.
func (e *SymlinkError) Unwrap() error { return manifest.ErrUnsafePath }

// SymlinkAt returns a *SymlinkError for the first symlink on the way to a name of the
// mirror, or at its end, where file says that there should be a file. What cannot be
// looked at is none.
func (t *Tree) SymlinkAt(name string, file bool) error {
	parts := strings.Split(name, "/")
	for i := range parts {
		at := path.Join(parts[:i+1]...)
		fi, err := t.root.Lstat(at)
		if err != nil {
			return nil //nolint:nilerr // whoever opens it says so
		}
		if fi.Mode()&fs.ModeSymlink != 0 {
			return &SymlinkError{Path: at, Folder: i+1 < len(parts) || !file}
		}
	}
	return nil
}

// UnlessSymlink is the error of reading a file of the mirror, or what explains it: a
// symlink on the way, which may lead anywhere.
func (t *Tree) UnlessSymlink(name string, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if link := t.SymlinkAt(name, true); link != nil {
		return link
	}
	return err
}
