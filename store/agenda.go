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

// Agenda is what a daemon remembers of a dataset across restarts.
type Agenda struct {
	// Ref is what the last refresh fetched; without a version, the newest.
	Ref manifest.Ref
	// Refreshed and Scrubbed are when the last refresh and scrub began; Refreshing and
	// Scrubbing say whether they have yet to finish.
	Refreshed  time.Time
	Refreshing bool
	Scrubbed   time.Time
	Scrubbing  bool
	Paused     bool // by a person
	// Trouble is why the last refresh failed, nil if it succeeded.
	Trouble *Trouble `json:",omitempty"`
}

// Trouble is a problem that keeps a dataset from being refreshed.
type Trouble struct {
	Condition string // in the daemon's word
	Why, Cure string // for a person
	Since     time.Time
	// Told are the notifications sent since a refresh last succeeded, so that each is sent
	// once.
	Told []string `json:",omitempty"`
}

// AllDatasets is the name of the Agenda that covers all datasets.
const AllDatasets = "*"

// Agendas returns all agendas, by dataset.
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

// PutAgendas stores agendas, by dataset.
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

// keptDays is for how many days the received bytes are remembered.
const keptDays = 30

// PutReceived stores how many bytes arrived on days, written like time.DateOnly, and
// removes all but the last 30 days.
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

// Received returns how many bytes arrived on the last days, by day.
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
