package store

import (
	"bytes"
	"encoding/json"
	"time"

	bolt "go.etcd.io/bbolt"

	"mimicsync/manifest"
)

// Partial is the unfinished file of a transfer, in .mimicsync/partial/ under the name of
// Digest. Each byte is at its final offset.
type Partial struct {
	Digest manifest.Digest
	Ref    manifest.Ref // the version that asked for it
	Path   string
	Source string // the source of its bytes
	// Validator is the strong ETag or generation that the source sent with them; empty if
	// it sent none, or if another tool fetched them.
	Validator string
	Modified  time.Time // of the object, according to the source; zero if unknown
	Size      int64     // of the whole object, -1 when unknown
	Durable   int64     // how many bytes were synced when the partial was recorded
	// Split says that bytes may follow a gap, so that the file's length says nothing: the
	// file has the first Durable bytes and the ranges Ahead.
	Split bool    `json:",omitempty"`
	Ahead []Range `json:",omitempty"`
	// Boot names the run of the kernel that wrote them. During the same run the file's
	// length is right; in another run, Durable is.
	Boot string
	// Seed counts the first bytes that were found in the mirror and not fetched by
	// mimicsync: they may be wrong, and must not be deleted.
	Seed    int64
	Updated time.Time
}

// Range is the bytes of a partial from From up to, not including, To.
type Range struct{ From, To int64 }

// PutPartials records partials in one transaction. Their first Durable bytes must be
// durable already.
func (s *Store) PutPartials(partials ...Partial) error {
	if len(partials) == 0 {
		return nil
	}
	return s.update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketPartials)
		for _, p := range partials {
			data, err := json.Marshal(p)
			if err != nil {
				return err
			}
			if err := b.Put(p.Digest[:], data); err != nil {
				return err
			}
		}
		return nil
	})
}

// Partials returns all partials. There are few: those of current transfers and those that
// an interrupted pass left.
func (s *Store) Partials() ([]Partial, error) {
	var all []Partial
	err := s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketPartials).ForEach(func(k, v []byte) error {
			var p Partial
			if err := unmarshal(bytes.Clone(k), v, &p); err != nil {
				return err
			}
			all = append(all, p)
			return nil
		})
	})
	return all, err
}

// DropPartial removes the record of a partial. Its file stays.
func (s *Store) DropPartial(d manifest.Digest) error {
	return s.update(func(tx *bolt.Tx) error { return tx.Bucket(bucketPartials).Delete(d[:]) })
}
