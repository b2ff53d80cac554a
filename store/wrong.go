package store

import (
	"bytes"
	"encoding/json"
	"time"

	bolt "go.etcd.io/bbolt"

	"mimicsync/manifest"
)

// Wrong says that a source served all bytes of an entry, and that they didn't have its
// digest.
type Wrong struct {
	Digest manifest.Digest `json:"-"` // that the entry must have
	Source string          `json:"-"`
	Ref    manifest.Ref    // the version that the entry was fetched for
	At     time.Time
	// Validator is the validator of the wrong object, if it changes whenever the bytes do:
	// then the source's answer shows when the object is another. Otherwise it is empty.
	Validator string `json:",omitempty"`
}

// keptWrong is how long a wrong answer counts if the source doesn't show when it serves
// other bytes.
const keptWrong = 30 * 24 * time.Hour

func (w *Wrong) counts() bool { return w.Validator != "" || time.Since(w.At) < keptWrong }

func (w *Wrong) key() []byte { return append(bytes.Clone(w.Digest[:]), w.Source...) }

func putWrong(b *bolt.Bucket, all []Wrong) error {
	for _, w := range all {
		data, err := json.Marshal(w)
		if err != nil {
			return err
		}
		if err := b.Put(w.key(), data); err != nil {
			return err
		}
	}
	return nil
}

// WrongOf returns the wrong answers for a digest that still count.
func (s *Store) WrongOf(d manifest.Digest) (all []Wrong, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketWrong).Cursor()
		for k, v := c.Seek(d[:]); bytes.HasPrefix(k, d[:]); k, v = c.Next() {
			w := Wrong{Digest: d, Source: string(k[len(d):])}
			if err := unmarshal(k, v, &w); err != nil {
				return err
			}
			if w.counts() {
				all = append(all, w)
			}
		}
		return nil
	})
	return all, err
}

// WrongAt returns the names of the sources whose wrong answer for a digest still counts.
func (s *Store) WrongAt(d manifest.Digest) (sources []string, err error) {
	all, err := s.WrongOf(d)
	for _, w := range all {
		sources = append(sources, w.Source)
	}
	return sources, err
}

// DropOldWrong removes wrong answers older than 30 days of sources that don't show when
// they serve other bytes.
func (s *Store) DropOldWrong() error {
	old := func(w *Wrong) bool { return !w.counts() }
	some := false
	err := s.view(func(tx *bolt.Tx) error {
		return eachWrong(tx.Bucket(bucketWrong), func(_ []byte, w *Wrong) error {
			some = some || old(w)
			return nil
		})
	})
	if err != nil || !some {
		return err
	}
	return s.update(func(tx *bolt.Tx) error { return dropWrong(tx, old) })
}

// dropWrong removes the wrong answers that a function chooses.
func dropWrong(tx *bolt.Tx, drop func(*Wrong) bool) error {
	b := tx.Bucket(bucketWrong)
	var keys [][]byte
	err := eachWrong(b, func(k []byte, w *Wrong) error {
		if drop(w) {
			keys = append(keys, bytes.Clone(k))
		}
		return nil
	})
	for i := 0; err == nil && i < len(keys); i++ {
		err = b.Delete(keys[i])
	}
	return err
}

func eachWrong(b *bolt.Bucket, visit func(key []byte, w *Wrong) error) error {
	return b.ForEach(func(k, v []byte) error {
		var w Wrong
		if err := unmarshal(k, v, &w); err != nil {
			return err
		}
		return visit(k, &w)
	})
}
