package tree

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"mimicsync/internal/durable"
)

// shareDir gives a new folder its group, and the permissions that the umask removed.
func (t *Tree) shareDir(dir string) error {
	if t.options.Group != 0 {
		if err := t.root.Lchown(dir, -1, t.options.Group); err != nil {
			return err
		}
	}
	if t.options.DirMode == defaultDirMode {
		return nil
	}
	return t.root.Chmod(dir, t.options.DirMode)
}

// share does the same for a file.
func (t *Tree) share(f *os.File) error {
	if t.options.Group != 0 {
		if err := f.Chown(-1, t.options.Group); err != nil {
			return err
		}
	}
	if t.options.FileMode == defaultFileMode {
		return nil
	}
	return f.Chmod(t.options.FileMode)
}

// Adopt gives a file from another tool the group and the permissions of the mirror's own
// files: it is patient data. It leaves a file with a second name as it is, because that
// may be someone's backup, and a file of another user that it may not change.
func (t *Tree) Adopt(name string, seen fs.FileInfo) error {
	if durable.Links(seen) > 1 || t.options.Group == 0 && seen.Mode().Perm() == t.options.FileMode {
		return nil
	}
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	if fi, err := f.Stat(); err != nil || !os.SameFile(fi, seen) {
		return errors.Join(err, &fs.PathError{Op: "adopt", Path: name, Err: errors.New("it changed while it was read")})
	}
	if t.options.Group != 0 {
		err = f.Chown(-1, t.options.Group)
	}
	if err == nil {
		err = f.Chmod(t.options.FileMode)
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EROFS) {
		return nil
	}
	return err
}
