package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"mimicsync/manifest"
)

// State is how a pass ended.
type State uint8

const (
	// Running passes haven't ended, or their process died.
	Running State = iota
	// Complete means that every selected entry is in the mirror and verified.
	Complete
	// Incomplete means that some entries failed, or that a limit that the user set ended
	// the pass early; all others are verified.
	Incomplete
	// Interrupted means that the user ended the pass early.
	Interrupted
	// Failed means that the pass couldn't continue: no access, no space, no manifest.
	Failed
)

var stateNames = [...]string{"running", "complete", "incomplete", "interrupted", "failed"}

// String returns the state's word in reports, as in "complete".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText returns String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *State) UnmarshalText(text []byte) error {
	for i, name := range stateNames {
		if name == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("unknown state %q", text)
}

// Pass is one pass in the history.
type Pass struct {
	// Kind is what the pass did, in the daemon's word; empty for a plain pull.
	Kind    string `json:",omitempty"`
	Start   time.Time
	Elapsed time.Duration
	State   State
	Files   Files
	Bytes   Bytes
	// Error says in one line why the pass ended as it did; empty if it was complete.
	Error string `json:",omitempty"`
	// Failures are the first entries that failed.
	Failures []Failure `json:",omitempty"`
}

// Files counts entries by what happened to them.
type Files struct {
	Total   int64 `json:"total"`   // selected entries
	Present int64 `json:"present"` // had a record, and the file matches it
	Adopted int64 `json:"adopted"` // found in the tree, hashed, right
	Linked  int64 `json:"linked"`  // taken from another place in the mirror
	Fetched int64 `json:"fetched"` // came over the network
	Failed  int64 `json:"failed"`
}

// Bytes adds up sizes by what happened to the entries.
type Bytes struct {
	Fetched   int64 `json:"fetched"` // of files fetched, including bytes from earlier passes
	Present   int64 `json:"present"`
	Adopted   int64 `json:"adopted"`
	Linked    int64 `json:"linked"`
	Discarded int64 `json:"discarded"` // arrived and were thrown away: wrong digest, or a changed object
}

// Failure is an entry that couldn't be fetched or kept.
type Failure struct {
	Path   string `json:"path"`
	Reason string `json:"reason"` // not_found, denied, unauthorized, checksum, size, network, no_space, io, unsafe_path
	Source string `json:"source"`
	Detail string `json:"detail"`
}

// keptPasses is how many passes of a version the history holds: more than a year of daily
// refreshes.
const keptPasses = 400

// AddPass adds a pass to the history of a version, or replaces the one with the same Start,
// and removes all but the last 400.
func (s *Store) AddPass(ref manifest.Ref, p Pass) error {
	return s.update(func(tx *bolt.Tx) error {
		b, err := tx.Bucket(bucketPasses).CreateBucketIfNotExists([]byte(ref.String()))
		if err != nil {
			return err
		}
		data, err := json.Marshal(p)
		if err != nil {
			return err
		}
		key := binary.BigEndian.AppendUint64(nil, uint64(p.Start.UnixNano()))
		if err := b.Put(key, data); err != nil {
			return err
		}
		// Count with the cursor: bbolt's bucket statistics would walk every page.
		c, n := b.Cursor(), 0
		for k, _ := c.Last(); k != nil; k, _ = c.Prev() {
			if n++; n > keptPasses {
				return c.Delete()
			}
		}
		return nil
	})
}

// Passes returns the last limit passes of a version, newest first.
func (s *Store) Passes(ref manifest.Ref, limit int) ([]Pass, error) {
	var all []Pass
	err := s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketPasses).Bucket([]byte(ref.String()))
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, v := c.Last(); k != nil && len(all) < limit; k, v = c.Prev() {
			var p Pass
			if err := unmarshal(k, v, &p); err != nil {
				return err
			}
			all = append(all, p)
		}
		return nil
	})
	return all, err
}

// Past is a pass in the history, and its version.
type Past struct {
	Ref manifest.Ref // without a version if that was unknown
	Pass
}

// History returns the last limit passes of all versions of a dataset, or of all datasets if
// it is empty, newest first.
func (s *Store) History(dataset string, limit int) ([]Past, error) {
	var refs []manifest.Ref
	err := s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketPasses).ForEachBucket(func(k []byte) error {
			ref, err := manifest.ParseRef(string(k))
			if err == nil && (dataset == "" || dataset == ref.Dataset) {
				refs = append(refs, ref)
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	var all []Past
	for _, ref := range refs {
		passes, err := s.Passes(ref, limit)
		if err != nil {
			return nil, err
		}
		for _, p := range passes {
			all = append(all, Past{ref, p})
		}
	}
	slices.SortStableFunc(all, func(a, b Past) int { return b.Start.Compare(a.Start) })
	return all[:min(len(all), limit)], nil
}
