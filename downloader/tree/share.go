package tree

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"mimicsync/internal/durable"
)

// shareDir gives a folder that was just made to the group, and the permissions
// that the umask took away.
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

// share does so for a file.
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

// Adopt gives a file that another tool brought the group and the permissions of what is
// made here: it is patient data. One that has another name stays as it is, for that may be
// somebody's backup, and so does one of a user whose files cannot be changed.
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
