// Package store remembers what a mirror has: for every verified file a record,
// for every unfinished one its partial, and the history of passes, all in one
// bbolt file. It knows nothing of networks or transfers.
//
// # Guarantees
//
// A call that writes is one transaction: after a crash all of it is there or
// none. Whoever opens the store owns the mirror until Close, or until AwaitLoss says
// otherwise; a second Open, in this or another process, returns a *LockedError. A file
// that cannot be read is never overwritten. It does not guarantee that the disk still has what a
// record says: people edit files; compare size and time before trusting one.
//
// All methods may be called from several goroutines. Writers queue; readers
// work on a snapshot, copy what they return, and never hold one while they wait.
//
// # Schema 1
//
//	meta      "schema" → uint32, "mirror" → 16 hex digits that name this mirror
//	versions  "<dataset>@<version>" → JSON Version
//	records   <id uint32> → bucket: <offset uint64> → record
//	digests   <first 8 bytes of the digest><id uint32><offset uint64> → nothing
//	partials  <digest> → JSON Partial
//	passes    "<dataset>@<version>" → bucket: <start in ns, uint64> → JSON Pass
//	wrong     <digest><name of a source> → JSON Wrong
//	rates     "<name of a source>/<kind of files>" → JSON Rate
//	agendas   "<dataset>", or "*" for all together → JSON Agenda
//	received  "<year>-<month>-<day>" → uint64, bytes that a daemon received
//
// A file without one of the last four buckets is of a program that did not know
// it, and gets it; such a program leaves the bucket as it is. wrong holds what
// sources had wrong in the last 30 days, or until the object has another validator,
// under manifests in force: a few keys, or none. A value without Validator, as older
// programs write it, is of the former kind; they pass over that field. rates holds the last pass of each kind: two keys a source. received holds
// the last 30 days.
//
// Integers are big-endian, so that keys sort by value. An id stands for one
// manifest of one dataset version: a manifest that changed gets a new id, and
// the old records are dropped once the new ones are there. An offset is where
// the entry's line starts in that manifest: records lie in manifest order, and a
// batch of neighbours touches a dozen pages. A record is
//
//	byte 1, uvarint size, int64 modification time in ns, uvarint time of the last verification in s
//	byte 2, for a file that was lost since
//
// which is up to 20 bytes, so that 600,000 of them take about 67 MB with their
// digests.
package store

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"mimicsync/internal/durable"
)

// schema is the layout that this package reads and writes.
const schema = 1

// newBytes is what a state file takes to begin with.
const newBytes = 2 << 20

var (
	bucketMeta     = []byte("meta")
	bucketVersions = []byte("versions")
	bucketRecords  = []byte("records")
	bucketDigests  = []byte("digests")
	bucketPartials = []byte("partials")
	bucketPasses   = []byte("passes")
	bucketWrong    = []byte("wrong")
	bucketRates    = []byte("rates")
	bucketAgendas  = []byte("agendas")
	bucketReceived = []byte("received")

	// laterBuckets are those that a file of an earlier program lacks.
	laterBuckets = [][]byte{bucketWrong, bucketRates, bucketAgendas, bucketReceived}

	keySchema = []byte("schema")
	keyMirror = []byte("mirror")
)

// Store is the open state file of one mirror.
type Store struct {
	db    *bolt.DB
	file  *os.File // of db, which closes it
	place Place
	owner *ownerFile

	former *former // of one that Anew made
	copied bool    // by Look
}

// Open opens the state file of a mirror, and makes it if there is none.
// command says what the caller is, for the message that a second process gets.
// The error is ErrDamaged, ErrNewerSchema, a *LockedError, or what the file
// system said. Close the store to give the mirror back.
func Open(place Place, command string) (*Store, error) {
	if err := place.otherOwner(); err != nil { // its file is not touched
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

// roomForNew refuses to begin a state file where it cannot be made whole: what
// a full disk cut short would look like a damaged one.
func roomForNew(folder *Folder, name string) error {
	if fi, err := folder.Root().Lstat(name); err == nil && fi.Size() > 0 {
		return nil
	}
	space, err := durable.Free(folder.Path())
	if err != nil || space.Total == 0 || space.Bytes >= newBytes { // who does not know tries
		return nil
	}
	return &Error{filepath.Join(folder.Path(), name), fmt.Errorf("%w: it takes %d KiB to begin with, and %d KiB are free", syscall.ENOSPC, newBytes>>10, space.Bytes>>10)}
}

// openDB opens a file that is whole: bbolt would walk a damaged one for ever, or make
// room in pages that are in use.
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

// lockDB opens a file in the folder of the state and locks it, to read or to write.
func lockDB(folder *Folder, name string, place Place, readOnly bool) (*bolt.DB, *os.File, error) {
	mapped := 0
	if runtime.GOOS != "windows" && !readOnly { // there the file would take this size at once
		mapped = 1 << 30 // below it, a reader never makes the writer wait for a new map
	}
	return boltOpen(folder, name, place, readOnly, mapped)
}

// boltOpen is lockDB with so many bytes mapped to begin with, or none where there is
// too little address space for them.
func boltOpen(folder *Folder, name string, place Place, readOnly bool, mapped int) (db *bolt.DB, file *os.File, err error) {
	path := filepath.Join(folder.Path(), name)
	options := &bolt.Options{
		Timeout:      time.Second,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
		// Without it, Open would write a free list into a file that has none,
		// and the file may belong to another program. prepare takes it back.
		NoFreelistSync:  true,
		ReadOnly:        readOnly,
		InitialMmapSize: mapped,
	}
	// A bad page makes bolt.Open panic with the file open and locked.
	options.OpenFile = func(_ string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		if file, err = folder.OpenFile(name, flag, mode); err == nil && readOnly { // the first time
			durable.Uncache(file, 0) // what another process could not write shows there as if it were on the disk
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
	return nil, nil, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err) // what is left is bbolt's word about its content
}

// isIn reports whether an open file is still the one of a name in a folder.
func isIn(folder *Folder, name string, f *os.File) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	fi, err := folder.Root().Lstat(name)
	return err == nil && os.SameFile(open, fi)
}

// prepare checks the schema, and makes the buckets of a new file.
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

// makeBuckets makes the buckets of a new file.
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

// Check looks at every page of the state file and returns ErrDamaged with what is
// wrong first, or nil. Open did so before. Writers wait meanwhile.
func (s *Store) Check() error {
	tx, err := s.db.Begin(true) // what is in the file now stays until it ends
	if err != nil {
		return s.named(err)
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	return checkFile(s.file)
}

// AwaitLoss returns an error that is ErrLocked once another process has taken the
// mirror, or may have had it meanwhile, as it may when this one gave no sign of life
// for two minutes: its machine slept, or was cut off from the mirror's file server.
// Whoever runs passes has to end them then; nothing can be written to the store any
// more. It returns nil when ctx ends.
func (s *Store) AwaitLoss(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.owner.lost:
		return s.owner.loss
	}
}

// Lost returns what AwaitLoss would, without waiting for it: it asks the mirror whether
// another process has it. Ask before anything that would destroy what may be that one's.
func (s *Store) Lost() error {
	if s.copied {
		return nil // it was nobody's
	}
	return s.named(s.owner.check())
}

// Inherited reports whether the owner before this one was silent and may yet live, on
// another machine: it may go on to write to what it has open.
func (s *Store) Inherited() bool { return s.owner.inherited }

// Close gives the mirror back. It waits for running transactions, and may be
// called again.
func (s *Store) Close() error {
	if s.copied {
		return errors.Join(s.db.Close(), removeIfThere(s.db.Path()))
	}
	err := errors.Join(s.owner.release(), s.db.Close())
	if s.former != nil {
		err = errors.Join(err, s.former.drop())
		s.former = nil
	}
	return err
}

// view runs fn on a snapshot.
func (s *Store) view(fn func(*bolt.Tx) error) (err error) {
	defer recoverDamage(s.path(), &err)()
	return s.named(s.db.View(fn))
}

// update runs fn in the one write transaction that there can be at a time.
func (s *Store) update(fn func(*bolt.Tx) error) (err error) {
	if !s.copied {
		s.owner.checkAfterSilence()
	}
	select {
	case <-s.owner.lost:
		return s.named(s.owner.loss)
	default:
	}
	defer recoverDamage(s.path(), &err)()
	return s.named(s.db.Update(fn))
}

// path is what people know the state file by.
func (s *Store) path() string {
	if s.former != nil {
		return filepath.Join(s.former.folder.Path(), newName)
	}
	return s.place.file()
}

func removeIfThere(path string) error {
	err := os.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Store) named(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return ErrClosed
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewerSchema):
		return err
	}
	return &Error{Path: s.path(), Err: err}
}

// recoverDamage turns what bbolt does on a bad page, a panic or a fault in the
// mapped file, into ErrDamaged. Use it as `defer recoverDamage(path, &err)()`.
func recoverDamage(path string, err *error) func() {
	faults := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(faults)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%s: %w: %v", path, ErrDamaged, r)
		}
	}
}
