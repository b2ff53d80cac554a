package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mimicsync/internal/durable"
)

// former is the state file beside which another one is made.
type former struct {
	folder *Folder  // of both files; closed with lock
	lock   *os.File // nil if there is no former file
}

// newName is the name of a state file that is made beside the former one.
const newName = stateName + ".new"

// Recreate makes a new state file beside the mirror's present one, which it locks and
// doesn't read, because it may be damaged in any way. Replace puts the new file in its
// place; Close abandons it.
func Recreate(place Place, command string) (*Store, error) {
	if err := place.otherOwner(); err != nil {
		return nil, err
	}
	folder, err := place.stateFolder()
	if err != nil {
		return nil, err
	}
	f := &former{folder: folder}
	if err := f.take(place); err != nil {
		return nil, errors.Join(err, f.free())
	}
	s, err := f.begin(place, command)
	if err != nil {
		return nil, errors.Join(err, f.drop())
	}
	return s, nil
}

// take locks the former file.
func (f *former) take(place Place) error {
	file, err := f.folder.Open(stateName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the state file: %w", err)
	}
	if !lock(file) {
		_ = file.Close() // nothing was read from it
		return &LockedError{Path: place.file(), Owner: place.named()}
	}
	f.lock = file
	return nil
}

func (f *former) begin(place Place, command string) (*Store, error) {
	if err := f.remove(); err != nil { // of an attempt that didn't finish
		return nil, err
	}
	path := filepath.Join(f.folder.Path(), newName)
	if err := roomForNew(f.folder, newName); err != nil {
		return nil, err
	}
	db, file, err := lockDB(f.folder, newName, place, false)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, file: file, place: place, owner: newOwnerFile(place), former: f}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	if err := s.owner.take(command); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// remove removes the new file, which may be gone.
func (f *former) remove() error {
	err := f.folder.Root().Remove(newName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// drop removes the new file and unlocks the former one. Both may be gone.
func (f *former) drop() error { return errors.Join(f.remove(), f.free()) }

// free unlocks the former file.
func (f *former) free() error {
	err := f.folder.Close()
	if f.lock == nil {
		return err
	}
	unlock(f.lock)
	err = errors.Join(err, f.lock.Close())
	f.lock = nil
	return err
}

// Replace closes a store that Recreate made and puts its file in the place of the former
// one. It returns the former file's new name, empty if there was none.
func (s *Store) Replace() (aside string, err error) {
	if err := s.db.Close(); err != nil {
		return "", errors.Join(err, s.Close())
	}
	aside, err = s.former.replace()
	return aside, errors.Join(err, s.Close())
}

func (f *former) replace() (aside string, err error) {
	dir := f.folder.Root()
	if f.lock != nil {
		if aside, err = f.freeName(); err != nil {
			return "", err
		}
		if err := dir.Rename(stateName, aside); err != nil {
			return "", err
		}
	}
	if err := dir.Rename(newName, stateName); err != nil {
		if aside != "" {
			err = errors.Join(err, dir.Rename(aside, stateName))
		}
		return "", err
	}
	if aside != "" {
		aside = filepath.Join(f.folder.Path(), aside)
	}
	return aside, durable.SyncRoot(dir)
}

// freeName is the first numbered name for the former file that isn't taken.
func (f *former) freeName() (string, error) {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.old.%d", stateName, n)
		if _, err := f.folder.Root().Lstat(name); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return name, err
		}
	}
}
