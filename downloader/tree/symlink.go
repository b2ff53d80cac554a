package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"mimicsync/manifest"
)

// SymlinkError means that a symlink is in the place of a file or folder of the mirror.
// mimicsync doesn't read or write through it and doesn't replace it: its target isn't
// part of the mirror.
type SymlinkError struct {
	Path   string // relative to the mirror
	Folder bool   // the symlink is in the place of a folder
}

// Error says what to do about the symlink.
func (e *SymlinkError) Error() string {
	if e.Folder {
		return fmt.Sprintf("%v: %s is a symlink, and mimicsync doesn't write through symlinks: replace it with a folder, or give the mirror's real path with --mirror",
			manifest.ErrUnsafePath, e.Path)
	}
	return fmt.Sprintf("%v: %s is a symlink, and mimicsync neither follows nor replaces symlinks: replace it with the file itself, as cp --remove-destination does, or remove it",
		manifest.ErrUnsafePath, e.Path)
}

// Unwrap makes errors.Is(err, manifest.ErrUnsafePath) true.
func (e *SymlinkError) Unwrap() error { return manifest.ErrUnsafePath }

// SymlinkAt returns a *SymlinkError for the first symlink on the way to a name, or at its
// end; file says whether the name should be a file. It returns nil for names that it
// can't look at.
func (t *Tree) SymlinkAt(name string, file bool) error {
	parts := strings.Split(name, "/")
	for i := range parts {
		at := path.Join(parts[:i+1]...)
		fi, err := t.root.Lstat(at)
		if err != nil {
			return nil // opening it will report the error
		}
		if fi.Mode()&fs.ModeSymlink != 0 {
			return &SymlinkError{Path: at, Folder: i+1 < len(parts) || !file}
		}
	}
	return nil
}

// UnlessSymlink returns the error of reading a file, or the *SymlinkError that explains
// it.
func (t *Tree) UnlessSymlink(name string, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if link := t.SymlinkAt(name, true); link != nil {
		return link
	}
	return err
}
