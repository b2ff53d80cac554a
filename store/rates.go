package store

import (
	"encoding/json"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Rate is how fast a source was in a pass: what it gave, and in what time.
type Rate struct {
	Bytes   int64
	Files   int64
	Elapsed time.Duration // of the transfers
	At      time.Time     // when the pass ended
}

// Kind is what a Rate says something about: the time that many small files take
// is that of their requests, and nothing follows from it for a few large ones.
type Kind string

// The kinds of what a pass fetches.
const (
	SmallFiles Kind = "small"
	LargeFiles Kind = "large"
)

// PutRate remembers the rate that a source had, in place of the last one of the
// kind.
func (s *Store) PutRate(source string, kind Kind, r Rate) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.update(func(tx *bolt.Tx) error { return tx.Bucket(bucketRates).Put(rateKey(source, kind), data) })
}

// Rate returns the rate that a source had in the last pass of a kind.
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
