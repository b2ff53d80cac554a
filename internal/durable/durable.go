// Package durable wraps the few calls that make bytes and names survive a power
// cut, and those that ask a disk what it can do: sync, preallocate, clone, free
// space, kind of file system. It knows files and folders, nothing of datasets.
//
// Each call has a portable form; where a platform lacks one, the call says so
// by errors.ErrUnsupported or by a false result, never by doing less than its name.
package durable

import (
	"fmt"
	"os"
	"path/filepath"
)

// SyncDir makes the names in a folder durable: what was created in it, renamed
// into it or removed from it before the call survives a power cut after it.
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
func WriteFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Space is the room left on a file system for an ordinary user.
type Space struct {
	Bytes  int64 // free bytes
	Total  int64 // size of the file system in bytes
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
