package tree

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"mimicsync/internal/durable"
	"mimicsync/manifest"
)

// maxFolders bounds the folders that a Tree remembers. Entries arrive folder by folder,
// so a few thousand are as good as all.
const maxFolders = 8192

// into creates a folder and calls do. If someone has removed a folder that the Tree
// remembers, it is created again.
func (t *Tree) into(dir string, do func() error) error {
	for try := 0; ; try++ {
		err := t.ensureDir(dir)
		if err == nil {
			err = do()
		}
		if try > 0 || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		t.Forget()
	}
}

// ensureDir creates a folder and those above it, and refuses symlinks and folders on
// another disk.
func (t *Tree) ensureDir(dir string) error {
	if dir == "." || t.knows(dir) {
		return nil
	}
	if err := t.ensureDir(path.Dir(dir)); err != nil {
		return err
	}
	err := t.mkdir(dir)
	switch {
	case err == nil:
		err = t.shareDir(dir)
	case errors.Is(err, fs.ErrExist):
		err = t.checkDir(dir)
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirs) >= maxFolders {
		clear(t.dirs)
	}
	t.dirs[dir] = struct{}{}
	return nil
}

// checkDir returns an error if an existing name isn't a folder to write to.
func (t *Tree) checkDir(dir string) error {
	isDir, isLink, err := t.lstat(dir)
	switch {
	case err != nil:
		return err
	case isLink:
		return &SymlinkError{Path: dir, Folder: true}
	case !isDir:
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("a file is in the place of a folder; move it away")}
	}
	fi, err := os.Lstat(t.dir(dir))
	if err == nil && durable.Device(fi) != t.device {
		err = &fs.PathError{Op: "open", Path: dir, Err: ErrOtherDisk}
	}
	return err
}

// IsElsewhere reports whether a file of the mirror is on another disk. On overlayfs, a
// file has the device of its layer; only its folder has that of the file system.
func (t *Tree) IsElsewhere(name string, fi fs.FileInfo) bool {
	if durable.Device(fi) == t.device {
		return false
	}
	folder, err := t.root.Lstat(path.Dir(name))
	return err != nil || durable.Device(folder) != t.device
}

// ErrOtherDisk refuses a disk that is mounted inside the mirror: partials can't be renamed
// to it, and the syncs before a record don't reach it.
var ErrOtherDisk = errors.New("it is on a different file system than the mirror's folder; " +
	"make the whole mirror one file system, mounted at the mirror's folder or above")

// EnsureDirOf creates the folder of an entry.
func (t *Tree) EnsureDirOf(ref manifest.Ref, p string) error {
	return t.into(path.Dir(t.Name(ref, p)), func() error { return nil })
}

func (t *Tree) knows(dir string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.dirs[dir]
	return ok
}

// Forget forgets which folders exist, because they may have changed.
func (t *Tree) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.dirs)
}
