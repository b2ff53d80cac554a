package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mimicsync/internal/durable"
)

// Look opens a copy of a mirror's state that is the caller's own, see Locate for dir:
// it takes no write access, works beside the owner of the mirror, and where there is
// no state yet it is an empty one. What is written to the copy is gone with Close.
// Nothing of the mirror is changed, not even for a moment.
func Look(mirror, dir string) (*Store, error) {
	place, err := find(mirror, dir)
	if err != nil {
		return nil, err
	}
	return lookBy(place, place.State != "")
}

// LookAtNothing is Look at a mirror whose state the caller may not read.
func LookAtNothing(mirror string) (*Store, error) { return lookBy(Place{Mirror: mirror}, false) }

func lookBy(place Place, copied bool) (_ *Store, err error) {
	temp, err := os.CreateTemp("", "mimicsync-state-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	if copied {
		err = copyState(temp, place)
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return nil, err
	}
	folder, err := openTop(filepath.Dir(temp.Name()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }() // nothing in it is to last
	db, file, err := lockDB(folder, filepath.Base(temp.Name()), place, false)
	if err != nil {
		return nil, err
	}
	db.NoSync, db.NoGrowSync = true, true
	_ = os.Remove(temp.Name()) // so that a kill leaves nothing; Windows does it at the end
	s := &Store{db: db, file: file, place: place, owner: newOwnerFile(place), copied: true}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", place.file(), err), db.Close())
	}
	return s, nil
}

// find is Locate that makes nothing. The state's folder is empty where there is none.
func find(mirror, dir string) (Place, error) {
	own, err := OpenFolder(mirror)
	if errors.Is(err, fs.ErrNotExist) {
		return Place{Mirror: mirror}, nil
	}
	if err != nil {
		return Place{}, err
	}
	defer func() { _ = own.Close() }() // nothing was written in it
	p := Place{Mirror: mirror, State: own.Path()}
	if name, network := durable.NetworkFS(own.Path()); network {
		p.Network = name
	}
	if dir == "" && p.Network == "" {
		return p, nil
	}
	id, err := own.ReadFile(idName, 4<<10)
	if name := strings.TrimSpace(string(id)); errors.Is(err, fs.ErrNotExist) || err == nil && !isMirrorID(name) {
		p.State = ""
		return p, nil
	}
	if dir == "" && err == nil {
		dir, err = stateHome()
	}
	p.State = filepath.Join(dir, strings.TrimSpace(string(id)))
	return p, err
}

const (
	// copyTime is for how long it is tried to copy a state between two transactions
	// of its owner.
	copyTime  = 10 * time.Second
	copyPause = 20 * time.Millisecond
)

// errBusy means that the owner wrote while the state was copied.
var errBusy = errors.New("its owner writes to it all the time; try again")

// copyState fills a file with a state as it was between two transactions of its owner,
// with nothing if there is none: a transaction writes no page that the one before
// uses, so that the copy is good if the last one is the same before and after.
func copyState(to *os.File, place Place) error {
	folder, err := place.stateFolderIfAny()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }() // nothing is written in it
	from, err := folder.Open(stateName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the state file: %w", err)
	}
	defer func() { _ = from.Close() }() // opened for reading only
	for end := time.Now().Add(copyTime); ; time.Sleep(copyPause) {
		err := copyOnce(to, from)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errBusy):
			return fmt.Errorf("%s: %w", place.file(), err)
		case time.Now().After(end):
			return &Error{place.file(), err}
		}
	}
}

func copyOnce(to, from *os.File) error {
	fi, err := from.Stat()
	if err != nil || fi.Size() == 0 {
		return err
	}
	meta, err := lastMeta(from, fi.Size())
	if err != nil {
		return err
	}
	size := min(int64(meta.end)*meta.pageSize, fi.Size()) //nolint:gosec // checked below
	if _, err := io.Copy(io.NewOffsetWriter(to, 0), io.NewSectionReader(from, 0, size)); err != nil {
		return fmt.Errorf("copy the state to %s, which TMPDIR names: %w", filepath.Dir(to.Name()), err)
	}
	if after, err := lastMeta(from, fi.Size()); err != nil || after.write != meta.write {
		return errors.Join(err, errBusy)
	}
	if err := to.Truncate(size); err != nil { // an earlier try may have been longer
		return err
	}
	return checkFile(to)
}
