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

// OpenCopy opens a private copy of a mirror's state; see Locate for dir. It needs no write
// access, works beside the owner of the mirror, and is empty if there is no state yet.
// Writes to the copy are lost on Close. Nothing in the mirror changes, not even for a
// moment.
func OpenCopy(mirror, dir string) (*Store, error) {
	place, err := find(mirror, dir)
	if err != nil {
		return nil, err
	}
	return openCopy(place, place.State != "")
}

// OpenEmptyCopy is OpenCopy for a mirror whose state the caller can't read.
func OpenEmptyCopy(mirror string) (*Store, error) { return openCopy(Place{Mirror: mirror}, false) }

func openCopy(place Place, copied bool) (_ *Store, err error) {
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
	defer func() { _ = folder.Close() }() // nothing in it must survive
	db, file, err := lockDB(folder, filepath.Base(temp.Name()), place, false)
	if err != nil {
		return nil, err
	}
	db.NoSync, db.NoGrowSync = true, true
	_ = os.Remove(temp.Name()) // so that a kill leaves nothing; on Windows, Close removes it
	s := &Store{db: db, file: file, place: place, owner: newOwnerFile(place), copied: true}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", place.file(), err), db.Close())
	}
	return s, nil
}

// find is Locate, but creates nothing. The state's folder is empty if there is none.
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
	// copyTime is how long to try to copy a state between two transactions of its owner.
	copyTime  = 10 * time.Second
	copyPause = 20 * time.Millisecond
)

// errBusy means that the owner wrote to the state during the copy.
var errBusy = errors.New("its owner writes to it all the time; try again")

// copyState fills a file with a state as it was between two transactions of its owner, or
// with nothing if there is none. A transaction writes no page that the previous one uses,
// so the copy is good if the last transaction is the same before and after.
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
	if err := to.Truncate(size); err != nil { // an earlier attempt may have been longer
		return err
	}
	return checkFile(to)
}
