package store

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"mimicsync/internal/durable"
)

// Open opens the state file of a mirror, or creates it. command names the calling command
// in the message that a second process gets. The error is ErrDamaged, ErrNewerSchema, a
// *LockedError, or an error of the file system. Close the store to give the mirror back.
func Open(place Place, command string) (*Store, error) {
	if err := place.otherOwner(); err != nil { // the other owner's file stays untouched
		return nil, err
	}
	path := place.file()
	folder, err := place.stateFolder()
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }() // bbolt syncs its file
	if err := roomForNew(folder, stateName); err != nil {
		return nil, err
	}
	db, file, err := openDB(folder, place)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, file: file, place: place, owner: newOwnerFile(place)}
	if err := s.prepare(); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := s.owner.take(command); err != nil {
		_ = db.Close()
		return nil, err
	}
	return s, nil
}

// roomForNew refuses to create a state file on a disk that is too full for it: a file that
// is cut short would look damaged.
func roomForNew(folder *Folder, name string) error {
	if fi, err := folder.Root().Lstat(name); err == nil && fi.Size() > 0 {
		return nil
	}
	space, err := durable.Free(folder.Path())
	if err != nil || space.Total == 0 || space.Bytes >= newBytes { // if the room is unknown, try
		return nil
	}
	return &Error{filepath.Join(folder.Path(), name), fmt.Errorf("%w: it takes %d KiB to begin with, and %d KiB are free", syscall.ENOSPC, newBytes>>10, space.Bytes>>10)}
}

// openDB opens a file after checking it: in a damaged one, bbolt may walk forever, or
// allocate pages that are in use.
func openDB(folder *Folder, place Place) (*bolt.DB, *os.File, error) {
	if fi, err := folder.Root().Lstat(stateName); err == nil && fi.Size() > 0 {
		db, file, err := lockDB(folder, stateName, place, true)
		if err != nil {
			return nil, nil, err
		}
		if err := errors.Join(checkFile(file), db.Close()); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", place.file(), err)
		}
	}
	return lockDB(folder, stateName, place, false)
}

// lockDB opens a file in the state's folder and locks it, for reading or writing.
func lockDB(folder *Folder, name string, place Place, readOnly bool) (*bolt.DB, *os.File, error) {
	mapped := 0
	if runtime.GOOS != "windows" && !readOnly { // Windows would enlarge the file to this size at once
		mapped = 1 << 30 // in files below this size, a reader never makes the writer wait to map the file again
	}
	return boltOpen(folder, name, place, readOnly, mapped)
}

// boltOpen is lockDB with this many bytes mapped at first, or none if the address space is
// too small for them.
func boltOpen(folder *Folder, name string, place Place, readOnly bool, mapped int) (db *bolt.DB, file *os.File, err error) {
	path := filepath.Join(folder.Path(), name)
	options := &bolt.Options{
		Timeout:      time.Second,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
		// Otherwise Open would write a free list into a file that has none, and the file
		// may belong to another program. prepare resets this.
		NoFreelistSync:  true,
		ReadOnly:        readOnly,
		InitialMmapSize: mapped,
	}
	// A bad page makes bolt.Open panic with the file open and locked.
	options.OpenFile = func(_ string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		if file, err = folder.OpenFile(name, flag, mode); err == nil && readOnly { // the first time
			durable.Uncache(file, 0) // pages that another process failed to write look there as if they were on the disk
		}
		return file, err
	}
	defer func() {
		if err != nil && file != nil {
			unlock(file)
			_ = file.Close() // closed already, unless it panicked
		}
	}()
	defer recoverDamage(path, &err)()
	db, err = bolt.Open(path, 0o600, options)
	var system syscall.Errno
	var foreign *ForeignError
	switch {
	case err == nil && !isIn(folder, name, file): // Replace was faster
		return nil, nil, errors.Join(&LockedError{Path: path}, db.Close())
	case err == nil:
		db.AllocSize = 1 << 20 // the file grows in steps of this
		return db, file, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, nil, &LockedError{Path: path, Owner: place.named()}
	case errors.Is(err, syscall.ENOMEM) && options.InitialMmapSize > 0:
		return boltOpen(folder, name, place, readOnly, 0)
	case errors.Is(err, syscall.ENOMEM):
		return nil, nil, fmt.Errorf("%s: %w: %w", path, ErrNoMemory, err)
	case errors.As(err, &system), errors.As(err, &foreign):
		return nil, nil, fmt.Errorf("open the state file: %w", err)
	}
	return nil, nil, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err) // the rest is what bbolt says about the content
}

// isIn reports whether an open file is still the file of that name in the folder.
func isIn(folder *Folder, name string, f *os.File) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	fi, err := folder.Root().Lstat(name)
	return err == nil && os.SameFile(open, fi)
}

// prepare checks the schema and creates the buckets of a new file.
func (s *Store) prepare() error {
	isNew, isOlder := false, false
	err := s.view(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil {
			name, _ := tx.Cursor().First()
			if name != nil {
				return fmt.Errorf("%w: it is a database of another program", ErrDamaged)
			}
			isNew = true
			return nil
		}
		v := meta.Get(keySchema)
		if len(v) != 4 {
			return fmt.Errorf("%w: it names no schema", ErrDamaged)
		}
		if n := binary.BigEndian.Uint32(v); n > schema {
			return fmt.Errorf("%w (schema %d, this one knows %d)", ErrNewerSchema, n, schema)
		}
		isOlder = slices.ContainsFunc(laterBuckets, func(name []byte) bool { return tx.Bucket(name) == nil })
		return nil
	})
	s.db.NoFreelistSync = false
	switch {
	case err != nil:
		return err
	case isNew:
		return s.makeBuckets()
	case isOlder:
		return s.update(func(tx *bolt.Tx) error {
			for _, name := range laterBuckets {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return nil
}

// makeBuckets creates the buckets of a new file.
func (s *Store) makeBuckets() error {
	return s.update(func(tx *bolt.Tx) error {
		for _, name := range append([][]byte{bucketMeta, bucketVersions, bucketRecords, bucketDigests, bucketPartials, bucketPasses}, laterBuckets...) {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		id := make([]byte, 8)
		_, _ = rand.Read(id) // never fails, see crypto/rand
		if err := tx.Bucket(bucketMeta).Put(keyMirror, hex.AppendEncode(nil, id)); err != nil {
			return err
		}
		return tx.Bucket(bucketMeta).Put(keySchema, binary.BigEndian.AppendUint32(nil, schema))
	})
}
