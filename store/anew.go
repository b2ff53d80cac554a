package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mimicsync/internal/durable"
)

// former is the state file that another one is made beside.
type former struct {
	path string   // of the new one
	lock *os.File // nil if there is no former one
}

// Anew makes a new state file beside the one that a mirror has, which it locks and does
// not read: it may be damaged in any way. Replace puts the new one in its place; Close
// instead gives it up.
func Anew(place Place, command string) (*Store, error) {
	if err := place.otherOwner(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(place.State, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	f := &former{path: place.file() + ".new"}
	if err := f.take(place); err != nil {
		return nil, err
	}
	s, err := f.begin(place, command)
	if err != nil {
		return nil, errors.Join(err, f.drop())
	}
	return s, nil
}

// take locks the former file.
func (f *former) take(place Place) error {
	file, err := os.Open(place.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the state file: %w", err)
	}
	if !lock(file) {
		_ = file.Close() // nothing was read from it
		seen, _ := look(place.ownerPath())
		return &LockedError{Path: place.file(), Owner: seen.owner}
	}
	f.lock = file
	return nil
}

func (f *former) begin(place Place, command string) (*Store, error) {
	if err := removeIfThere(f.path); err != nil { // of one that did not come to its end
		return nil, err
	}
	if err := roomForNew(f.path); err != nil {
		return nil, err
	}
	db, file, err := lockDB(f.path, place, false)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, file: file, place: place, owner: newOwnerFile(place), former: f}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.path, err), db.Close())
	}
	if err := s.owner.take(command); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// drop removes the new file, and gives the former one back. Both may be gone.
func (f *former) drop() error {
	return errors.Join(removeIfThere(f.path), f.free())
}

// free gives the former file back.
func (f *former) free() error {
	if f.lock == nil {
		return nil
	}
	unlock(f.lock)
	err := f.lock.Close()
	f.lock = nil
	return err
}

// Replace closes a store that Anew made and puts its file in the place of the former
// one, whose new name it returns, empty if there was none.
func (s *Store) Replace() (aside string, err error) {
	if err := s.db.Close(); err != nil {
		return "", errors.Join(err, s.Close())
	}
	aside, err = s.former.replaceAt(s.place.file())
	return aside, errors.Join(err, s.Close())
}

func (f *former) replaceAt(path string) (aside string, err error) {
	if f.lock != nil {
		if aside, err = freeName(path + ".old"); err != nil {
			return "", err
		}
		if err := os.Rename(path, aside); err != nil {
			return "", err
		}
	}
	if err := os.Rename(f.path, path); err != nil {
		if aside != "" {
			err = errors.Join(err, os.Rename(aside, path))
		}
		return "", err
	}
	return aside, durable.SyncDir(filepath.Dir(path))
}

// freeName is a name with the first number that no file has.
func freeName(name string) (string, error) {
	for n := 1; ; n++ {
		free := fmt.Sprintf("%s.%d", name, n)
		if _, err := os.Lstat(free); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return free, err
		}
	}
}
