package store

import (
	"encoding/json"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Rate is how fast a source was in a pass: how much it sent in what time.
type Rate struct {
	Bytes   int64
	Files   int64
	Elapsed time.Duration // of the transfers
	At      time.Time     // when the pass ended
}

// Kind is the kind of files that a Rate describes: the time for many small files is that of
// their requests, and says nothing about a few large ones.
type Kind string

// The kinds of files.
const (
	SmallFiles Kind = "small"
	LargeFiles Kind = "large"
)

// PutRate stores the rate of a source, and replaces the last one of the same kind.
func (s *Store) PutRate(source string, kind Kind, r Rate) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.update(func(tx *bolt.Tx) error { return tx.Bucket(bucketRates).Put(rateKey(source, kind), data) })
}

// Rate returns the rate of a source in the last pass of a kind.
func (s *Store) Rate(source string, kind Kind) (r Rate, known bool, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		key := rateKey(source, kind)
		data := tx.Bucket(bucketRates).Get(key)
		if data == nil {
			return nil
		}
		known = true
		return unmarshal(key, data, &r)
	})
	return r, known, err
}

func rateKey(source string, kind Kind) []byte { return []byte(source + "/" + string(kind)) }
