package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"mimicsync/manifest"
)

// Agenda is what a daemon remembers of a dataset from one life to the next.
type Agenda struct {
	// Ref is what the last refresh was of; without a version, of the newest.
	Ref manifest.Ref
	// Refreshed and Scrubbed are when the last refresh and the last scrub began,
	// Refreshing and Scrubbing whether they have yet to come to their end.
	Refreshed  time.Time
	Refreshing bool
	Scrubbed   time.Time
	Scrubbing  bool
	Paused     bool // by a person
	// Trouble is why the last refresh did not succeed, nil if it did.
	Trouble *Trouble `json:",omitempty"`
}

// Trouble is what keeps a dataset from being refreshed.
type Trouble struct {
	Condition string // the daemon's word for it
	Why, Cure string // for a person
	Since     time.Time
	// Told is what people were told of since a refresh last succeeded, so that
	// they hear of each thing once.
	Told []string `json:",omitempty"`
}

// AllDatasets is the name of the Agenda of all datasets together.
const AllDatasets = "*"

// Agendas returns what is remembered, by dataset.
func (s *Store) Agendas() (map[string]Agenda, error) {
	all := map[string]Agenda{}
	err := s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketAgendas).ForEach(func(k, v []byte) error {
			var a Agenda
			err := unmarshal(k, v, &a)
			all[string(k)] = a
			return err
		})
	})
	return all, err
}

// PutAgendas remembers agendas, by dataset.
func (s *Store) PutAgendas(agendas map[string]Agenda) error {
	return s.update(func(tx *bolt.Tx) error {
		for dataset, a := range agendas {
			data, err := json.Marshal(a)
			if err != nil {
				return err
			}
			if err := tx.Bucket(bucketAgendas).Put([]byte(dataset), data); err != nil {
				return err
			}
		}
		return nil
	})
}

// keptDays is for how many days it is remembered what was received.
const keptDays = 30

// PutReceived remembers how many bytes came on days, written as time.DateOnly
// does, and forgets all but the last 30.
func (s *Store) PutReceived(days map[string]int64) error {
	return s.update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketReceived)
		for day, n := range days {
			if err := b.Put([]byte(day), binary.BigEndian.AppendUint64(nil, uint64(n))); err != nil { //nolint:gosec // counts are not negative
				return err
			}
		}
		all, err := received(b)
		if err != nil {
			return err
		}
		names := slices.Sorted(maps.Keys(all))
		for _, day := range names[:max(len(names)-keptDays, 0)] {
			if err := b.Delete([]byte(day)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Received returns how many bytes came on the last days, by day.
func (s *Store) Received() (days map[string]int64, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		days, err = received(tx.Bucket(bucketReceived))
		return err
	})
	return days, err
}

func received(b *bolt.Bucket) (map[string]int64, error) {
	days := map[string]int64{}
	err := b.ForEach(func(k, v []byte) error {
		if len(v) != 8 {
			return fmt.Errorf("%w: the value of %q has %d bytes", ErrDamaged, k, len(v))
		}
		days[string(k)] = int64(binary.BigEndian.Uint64(v)) //nolint:gosec // written from an int64
		return nil
	})
	return days, err
}
