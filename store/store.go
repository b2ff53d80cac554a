// Package store remembers what a mirror has, in one bbolt file: a record for every verified
// file, a partial for every unfinished one, and the history of passes. It knows nothing of
// networks or transfers.
//
// # Guarantees
//
// Each call that writes is one transaction: after a crash, all of it is there or none. The
// process that opens the store owns the mirror until Close, or until AwaitLoss returns; a
// second Open, in this or another process, returns a *LockedError. A state file that can't
// be read is never overwritten. The store doesn't guarantee that the disk still has what a
// record says, because people edit files: compare size and time before you trust a record.
//
// All methods may be called from several goroutines. Writers queue. Readers work on a
// snapshot, return copies, and never hold a snapshot while they wait.
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
//	agendas   "<dataset>", or "*" for all datasets → JSON Agenda
//	received  "<year>-<month>-<day>" → uint64, bytes that a daemon received
//
// An older program wrote files without the last four buckets; Open adds them, and the older
// program ignores them. wrong holds the wrong answers of sources, for manifests in force,
// for 30 days or until the object has another validator: few keys or none. Older programs
// write values without Validator, and ignore that field. rates holds the last pass of each
// kind: two keys per source. received holds the last 30 days.
//
// Integers are big-endian, so that keys sort by value. An id stands for one manifest of one
// dataset version: a changed manifest gets a new id, and the old records are dropped once
// the new ones exist. An offset is the position of the entry's line in that manifest:
// records are in manifest order, and a batch of neighbours touches a dozen pages. A record
// is one of
//
//	byte 1, uvarint size, int64 modification time in ns, uvarint time of the last verification in s
//	byte 2, for a file that was lost since
//
// It takes up to 20 bytes; 600,000 records and their digests take about 67 MB.
package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// schema is the layout that this package reads and writes.
const schema = 1

// newBytes is the size of a new state file.
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

	// laterBuckets are missing in files of earlier programs.
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

	former *former // of a store that Recreate made
	copied bool    // made by OpenCopy
}

// Check reads every page of the state file and returns nil, or ErrDamaged with the first
// damage that it finds. Open has done so before. Writers wait meanwhile.
func (s *Store) Check() error {
	tx, err := s.db.Begin(true) // the file's content stays as it is until this ends
	if err != nil {
		return s.named(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return checkFile(s.file)
}

// AwaitLoss returns an error that is ErrLocked when another process has taken the mirror or
// may have had it meanwhile. That can happen after this process showed no sign of life for
// two minutes: its machine slept, or lost the mirror's file server. The caller must then
// end all passes; the store accepts no more writes. AwaitLoss returns nil when ctx ends.
func (s *Store) AwaitLoss(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.owner.lost:
		return s.owner.loss
	}
}

// Lost returns the same error without waiting: it asks the mirror whether another process
// has it. Call it before destroying anything that may belong to that process.
func (s *Store) Lost() error {
	if s.copied {
		return nil // a copy belongs to nobody else
	}
	return s.named(s.owner.check())
}

// Inherited reports whether the previous owner was silent but may still live, on another
// machine: it may go on writing to files that it has open.
func (s *Store) Inherited() bool { return s.owner.inherited }

// Close gives the mirror back. It waits for running transactions, and may be called again.
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

// update runs fn in the only write transaction at a time.
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

// path is the state file's path, for messages.
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

// recoverDamage turns a panic of bbolt on a bad page, or a fault in the mapped file, into
// ErrDamaged. Use it as `defer recoverDamage(path, &err)()`.
func recoverDamage(path string, err *error) func() {
	faults := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(faults)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%s: %w: %v", path, ErrDamaged, r)
		}
	}
}
