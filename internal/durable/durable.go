// Package durable wraps the few calls that make bytes and names survive a power cut, and
// those that ask a disk about itself: sync, preallocate, clone, free space, kind of file
// system. It knows files and folders, nothing of datasets.
//
// Each call has a portable form; where a platform lacks one, the call returns
// errors.ErrUnsupported or a false result, and never silently does less than its name says.
package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SyncDir makes the names in a folder durable: after it returns, everything created in the
// folder, renamed into it or removed from it before the call survives a power cut. If the
// file system has no such call, it does nothing.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // opened for reading only
	return syncDir(d)
}

// SyncRoot is SyncDir for an open folder.
func SyncRoot(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // opened for reading only
	return syncDir(d)
}

// WriteFile writes a small file so that after a crash path has either its former content or
// all of data: it writes a temporary file beside it, syncs and renames it, and syncs the
// folder. The file's mode is 0600.
func WriteFile(path string, data []byte) error {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // it is synced
	return WriteFileIn(dir, filepath.Base(path), data)
}

// WriteFileIn is WriteFile for a name in an open folder. It replaces a symlink of that name
// and doesn't follow it.
func WriteFileIn(dir *os.Root, name string, data []byte) error {
	temp, err := writeTemp(dir, name, data)
	if err != nil {
		return err
	}
	if err := dir.Rename(temp, name); err != nil {
		_ = dir.Remove(temp)
		return err
	}
	return SyncRoot(dir)
}

// CreateFileIn is WriteFileIn for a name that must be free: of several processes, on any
// machines, one creates the file, and the others get fs.ErrExist. Whoever sees the file
// sees all of it; only without hard links, it may be incomplete for a moment.
func CreateFileIn(dir *os.Root, name string, data []byte) error {
	temp, err := writeTemp(dir, name, data)
	if err != nil {
		return err
	}
	err = dir.Link(temp, name) // atomic on every file server, unlike an exclusive open, see open(2)
	_ = dir.Remove(temp)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = fill(dir, name, data) // there are no hard links, as on exFAT
	}
	if err != nil {
		return err
	}
	return SyncRoot(dir)
}

// CreateTempIn creates a file with a unique name in an open folder, which begins with
// prefix. The caller removes it.
func CreateTempIn(dir *os.Root, prefix string) (f *os.File, name string, err error) {
	name = prefix + rand.Text()
	f, err = dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return f, name, err
}

// writeTemp writes a temporary file beside a name, and returns its own name.
func writeTemp(dir *os.Root, name string, data []byte) (string, error) {
	temp := "." + name + "." + rand.Text()
	return temp, fill(dir, temp, data)
}

// fill creates, writes and syncs a file, and removes it if that fails.
func fill(dir *os.Root, name string, data []byte) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = dir.Remove(name)
	}
	return err
}

// IsUnreadable reports whether an error means that the disk can't return what was written
// to it. Reading it again is useless; the file can still be renamed.
func IsUnreadable(err error) bool {
	for _, lost := range unreadable {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}

// Space is the free space of a file system for an ordinary user.
type Space struct {
	Bytes  int64 // free bytes
	Total  int64 // size of the file system in bytes; 0, like Bytes, if it has no limit or doesn't say
	Inodes int64 // free inodes; -1 if the file system has no limit or doesn't say
}

// Free returns the free space of the file system of path.
func Free(path string) (Space, error) {
	s, err := free(path)
	if err != nil {
		return Space{}, fmt.Errorf("free space of %s: %w", path, err)
	}
	return s, nil
}
