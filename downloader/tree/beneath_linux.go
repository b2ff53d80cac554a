package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mimicsync/manifest"
	"mimicsync/store"
)

// os.Root opens every folder on the way to a name: at the depth of MIMIC-CXR, creating a
// folder and renaming a file into it takes about 35 system calls. openat2(2) reaches the
// folder in one, and the kernel refuses symlinks and escapes. Where openat2 is missing
// (before Linux 5.6, or blocked by a container), os.Root does the work.

// parent opens the folder of a name without following symlinks, and with
// unix.RESOLVE_NO_XDEV not on another disk. ok is false where openat2 is missing.
func (t *Tree) parent(name string, resolve uint64) (fd int, ok bool, err error) {
	if t.noOpenat2.Load() {
		return 0, false, nil
	}
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | resolve,
	}
	beneath, dir := t.beneath(path.Dir(name))
	for {
		fd, err = unix.Openat2(beneath, dir, &how)
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL):
		t.noOpenat2.Store(true)
		return 0, false, nil
	case errors.Is(err, unix.EXDEV) && resolve&unix.RESOLVE_NO_XDEV != 0:
		return 0, true, &fs.PathError{Op: "openat2", Path: dir, Err: ErrOtherDisk}
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		if link := t.SymlinkAt(dir, false); link != nil {
			return 0, true, link
		}
		return 0, true, fmt.Errorf("%w: a folder on the way to %s leads out of the mirror", manifest.ErrUnsafePath, name)
	case err != nil:
		return 0, true, &fs.PathError{Op: "openat2", Path: dir, Err: err}
	}
	return fd, true, nil
}

// beneath returns the open folder from which to resolve dir, and its name there. Names in
// .mimicsync are resolved from the folder whose ownership was checked.
func (t *Tree) beneath(dir string) (fd int, name string) {
	if below, ok := strings.CutPrefix(dir+"/", store.Dir+"/"); ok {
		return t.ownFD, path.Clean(below)
	}
	return t.folderFD, dir
}

func (t *Tree) mkdir(name string) error {
	fd, ok, err := t.parent(name, unix.RESOLVE_NO_XDEV)
	if !ok {
		return t.root.Mkdir(name, t.options.DirMode)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written through it
	if err := unix.Mkdirat(fd, path.Base(name), uint32(t.options.DirMode.Perm())); err != nil {
		return &fs.PathError{Op: "mkdirat", Path: name, Err: err}
	}
	return nil
}

// lstat describes a name without following a symlink.
func (t *Tree) lstat(name string) (isDir, isLink bool, err error) {
	fd, ok, err := t.parent(name, 0)
	if !ok {
		return t.lstatRoot(name)
	}
	if err != nil {
		return false, false, err
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written through it
	var st unix.Stat_t
	if err := unix.Fstatat(fd, path.Base(name), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, false, &fs.PathError{Op: "fstatat", Path: name, Err: err}
	}
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, st.Mode&unix.S_IFMT == unix.S_IFLNK, nil
}

// openRaw opens a file in the folder of partials for reading and writing, and creates it
// if needed. Unlike os.Root, it doesn't register the file with the network poller. Opening
// a FIFO for both doesn't block, see fifo(7).
func (t *Tree) openRaw(name string) (*os.File, error) {
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_NOFOLLOW | unix.O_CLOEXEC
	for {
		fd, err := unix.Openat(t.partialFD, name, flags, uint32(t.options.FileMode.Perm()))
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), partialDir+"/"+name), nil
		case !errors.Is(err, unix.EINTR):
			return nil, &fs.PathError{Op: "openat", Path: partialDir + "/" + name, Err: err}
		}
	}
}

// setTime sets the modification time of a partial. One without a name is set by its
// descriptor, which needs Linux 5.8.
func (t *Tree) setTime(f *Partial, modified time.Time) error {
	ts, err := unix.TimeToTimespec(modified)
	if err != nil {
		return err
	}
	times := []unix.Timespec{ts, ts}
	if f.IsNameless() {
		err = unix.UtimesNanoAt(int(f.Fd()), "", times, unix.AT_EMPTY_PATH)
	} else {
		err = unix.UtimesNanoAt(t.partialFD, f.name, times, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return &fs.PathError{Op: "utimensat", Path: f.Name(), Err: err}
	}
	return nil
}

// createNameless creates a file without a name in the folder of an entry.
func (t *Tree) createNameless(name string) (*os.File, error) {
	how := unix.OpenHow{
		Flags: unix.O_TMPFILE | unix.O_RDWR | unix.O_CLOEXEC, Mode: uint64(t.options.FileMode.Perm()),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	}
	beneath, dir := t.beneath(path.Dir(name))
	for {
		fd, err := unix.Openat2(beneath, dir, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), name), nil
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN):
			return nil, &fs.PathError{Op: "openat2", Path: path.Dir(name), Err: err}
		}
	}
}

// giveName gives a file without a name a name in the mirror. Unlike a rename, it fails if
// the name exists.
func (t *Tree) giveName(f *os.File, to string) error {
	folder, ok, err := t.parent(to, unix.RESOLVE_NO_XDEV)
	if err == nil && !ok {
		err = unix.ENOSYS
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(folder) }() // nothing was written through it
	// By its descriptor, which needs Linux 6.10 or root, or else by its name in /proc.
	err = unix.Linkat(int(f.Fd()), "", folder, path.Base(to), unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), folder, path.Base(to), unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return &os.LinkError{Op: "linkat", Old: f.Name(), New: to, Err: err}
	}
	return nil
}

// spareDescriptors is the smallest limit on open files with which partials go without
// names: a quarter for those, the rest for everything else.
const spareDescriptors = 4 * namelessFiles

// probeNameless finds out whether files without a name work in the mirror. They don't on
// NFS, without /proc, or with a low limit on open files.
func (t *Tree) probeNameless() bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur < spareDescriptors || t.options.Network {
		return false
	}
	const probe = partialDir + "/nameless"
	file, err := t.createNameless(probe)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }() // nothing was written to it
	if t.setTime(&Partial{File: file, nameless: true}, time.Now()) != nil || t.giveName(file, probe) != nil {
		return false
	}
	return t.partials.Remove(path.Base(probe)) == nil
}

// linkFile gives a file of the mirror a second name.
func (t *Tree) linkFile(from, to string) error {
	source, ok, err := t.parent(from, 0)
	if !ok {
		return t.root.Link(from, to)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(source) }() // nothing was written through it
	target, _, err := t.parent(to, unix.RESOLVE_NO_XDEV)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(target) }() // likewise
	if err := unix.Linkat(source, path.Base(from), target, path.Base(to), 0); err != nil {
		return &os.LinkError{Op: "linkat", Old: from, New: to, Err: err}
	}
	return nil
}

// renamePartial moves a partial to a name in the mirror.
func (t *Tree) renamePartial(from, to string) error {
	fd, ok, err := t.parent(to, unix.RESOLVE_NO_XDEV)
	if !ok {
		return t.root.Rename(partialDir+"/"+from, to)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written through it
	if err := unix.Renameat(t.partialFD, from, fd, path.Base(to)); err != nil {
		return &os.LinkError{Op: "renameat", Old: partialDir + "/" + from, New: to, Err: err}
	}
	return nil
}

// rename moves a file of the mirror to another name.
func (t *Tree) rename(from, to string) error {
	source, ok, err := t.parent(from, 0)
	if !ok {
		return t.root.Rename(from, to)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(source) }() // nothing was written through it
	target, _, err := t.parent(to, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(target) }() // likewise
	if err := unix.Renameat(source, path.Base(from), target, path.Base(to)); err != nil {
		return &os.LinkError{Op: "renameat", Old: from, New: to, Err: err}
	}
	return nil
}
