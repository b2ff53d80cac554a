// Package durable wraps the few calls that make bytes and names survive a power
// cut, and those that ask a disk what it can do: sync, preallocate, clone, free
// space, kind of file system. It knows files and folders, nothing of datasets.
//
// Each call has a portable form; where a platform lacks one, the call says so
// by errors.ErrUnsupported or by a false result, never by doing less than its name.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SyncDir makes the names in a folder durable: what was created in it, renamed
// into it or removed from it before the call survives a power cut after it. Where
// the file system has no such call, it does nothing.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // opened for reading only
	return syncDir(d)
}

// WriteFile writes a small file so that after a crash path holds either its
// former content or all of data: a temporary file beside it is filled, synced
// and renamed, and the folder is synced. The file's mode is 0600.
func WriteFile(path string, data []byte) error {
	temp, err := writeBeside(path, data)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// CreateFile is WriteFile for a name that must be free: of several processes, on
// whatever machines, one makes the file, and the others get fs.ErrExist. Whoever
// sees the file sees all of it; only where there are no hard links, it may be cut
// short for a moment.
func CreateFile(path string, data []byte) error {
	temp, err := writeBeside(path, data)
	if err != nil {
		return err
	}
	err = os.Link(temp, path) // one step on every file server, which an exclusive open is not, see open(2)
	_ = os.Remove(temp)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = createInPlace(path, data)
	}
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// createInPlace makes a file where there are no hard links, as on exFAT.
func createInPlace(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return fill(f, data)
}

// writeBeside writes a temporary file beside path, and returns its name.
func writeBeside(path string, data []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", err
	}
	return f.Name(), fill(f, data)
}

// fill writes, syncs and closes a file, and removes it if that fails.
func fill(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// IsUnreadable reports whether an error says that the disk cannot give back what was
// written to it. To read it again is of no use; the file's name may still be had.
func IsUnreadable(err error) bool {
	for _, lost := range unreadable {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}

// Space is the room left on a file system for an ordinary user.
type Space struct {
	Bytes  int64 // free bytes
	Total  int64 // size of the file system in bytes; 0, as Bytes is, where it has no limit or does not say
	Inodes int64 // free inodes; -1 where the file system has no limit or does not say
}

// Free asks the file system of path for its room.
func Free(path string) (Space, error) {
	s, err := free(path)
	if err != nil {
		return Space{}, fmt.Errorf("free space of %s: %w", path, err)
	}
	return s, nil
}
