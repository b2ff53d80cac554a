package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"mimicsync/manifest"
)

// Version is one dataset version of the mirror, with the manifest in force.
type Version struct {
	Ref      manifest.Ref // both parts are set
	ID       uint32       // names the records that belong to Manifest; given by PutVersion
	Manifest Manifest
	Bytes    int64 // published size of the whole version in bytes, 0 when unknown
	// Selection has the patterns by which the last pass selected files, none if it selected
	// all. It is nil if no pass has said: the state was rebuilt, or an older program wrote it.
	Selection *manifest.Globs `json:",omitempty"`
	// Former are earlier manifests of this version, whose records still tell which files
	// are right. PutVersion adds to them.
	Former []Former `json:",omitempty"`
	// Retiring are files whose records Retire has dropped and which may still be in the
	// mirror. PutVersion clears them: from then on they are files without a record.
	Retiring []Verified `json:",omitempty"`
}

// Former is a manifest that was in force before.
type Former struct {
	ID     uint32
	Digest manifest.Digest
}

// Manifest describes a fetched SHA256SUMS.txt.
type Manifest struct {
	Digest    manifest.Digest // of the manifest's own bytes
	Entries   int64
	Size      int64
	Source    string // where it came from
	Validator string // ETag under which that source served it, for the next conditional request
	Modified  time.Time
	Fetched   time.Time
	// Confirmed is when the whole manifest was last fetched again and was the same; zero if
	// never.
	Confirmed time.Time `json:",omitzero"`
	// Conflicts are paths that can't all exist in one folder; see manifest.Collisions.
	Conflicts []manifest.Collision `json:",omitempty"`
}

// Versions returns all dataset versions of the mirror, sorted by name.
func (s *Store) Versions() ([]Version, error) {
	var all []Version
	err := s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketVersions).ForEach(func(k, v []byte) error {
			var ver Version
			if err := unmarshal(k, v, &ver); err != nil {
				return err
			}
			all = append(all, ver)
			return nil
		})
	})
	return all, err
}

// Version returns a dataset version, and whether the store knows it.
func (s *Store) Version(ref manifest.Ref) (v Version, ok bool, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		data := tx.Bucket(bucketVersions).Get([]byte(ref.String()))
		ok = data != nil
		if !ok {
			return nil
		}
		return unmarshal([]byte(ref.String()), data, &v)
	})
	return v, ok, err
}

// PutVersion stores v under its Ref and returns it. If its manifest isn't the stored one, v
// gets a new ID without records; the records of the former ID stay until DropFormer, so
// that the caller can carry them over.
func (s *Store) PutVersion(v Version) (Version, error) {
	err := s.update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketVersions)
		key := []byte(v.Ref.String())
		var old Version
		if data := b.Get(key); data != nil {
			if err := unmarshal(key, data, &old); err != nil {
				return err
			}
		}
		v.ID, v.Former, v.Retiring = old.ID, old.Former, nil
		if old.ID != 0 && old.Manifest.Digest != v.Manifest.Digest {
			v.Former = append(v.Former, Former{ID: old.ID, Digest: old.Manifest.Digest})
			if err := dropWrong(tx, func(w *Wrong) bool { return w.Ref == v.Ref }); err != nil {
				return err // what was corrected may have been corrected at every source
			}
		}
		if old.ID == 0 || old.Manifest.Digest != v.Manifest.Digest {
			n, err := b.NextSequence()
			if err != nil {
				return err
			}
			v.ID = uint32(n) //nolint:gosec // one per manifest ever fetched
		}
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return b.Put(key, data)
	})
	return v, err
}

// DropFormer removes the former manifests of a version and their records. It may be
// repeated after a crash.
func (s *Store) DropFormer(ref manifest.Ref) error {
	v, ok, err := s.Version(ref)
	if err != nil || !ok || len(v.Former) == 0 {
		return err
	}
	for _, f := range v.Former {
		if err := s.dropRecords(f.ID); err != nil {
			return err
		}
	}
	return s.update(func(tx *bolt.Tx) error {
		b, key := tx.Bucket(bucketVersions), []byte(ref.String())
		var current Version // PutVersion may have added to it meanwhile
		if err := unmarshal(key, b.Get(key), &current); err != nil {
			return err
		}
		current.Former = slices.DeleteFunc(current.Former, func(f Former) bool { return slices.Contains(v.Former, f) })
		data, err := json.Marshal(current)
		if err != nil {
			return err
		}
		return b.Put(key, data)
	})
}

// Retire drops the records of files that are about to be removed, and remembers these files
// instead of those of the previous call, which are gone by now. After a crash in between,
// they are in Version.Retiring, to be retired again.
func (s *Store) Retire(ref manifest.Ref, files []Verified) error {
	return s.update(func(tx *bolt.Tx) error {
		b, key := tx.Bucket(bucketVersions), []byte(ref.String())
		var v Version
		if err := unmarshal(key, b.Get(key), &v); err != nil {
			return err
		}
		if records := tx.Bucket(bucketRecords).Bucket(idKey(v.ID)); records != nil {
			for _, f := range files {
				if err := records.Delete(offsetKey(nil, f.Offset)); err != nil {
					return err
				}
				if err := tx.Bucket(bucketDigests).Delete(digestKey(f.Digest, v.ID, f.Offset)); err != nil {
					return err
				}
			}
		}
		v.Retiring = files
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return b.Put(key, data)
	})
}

// DropVersion removes a version: its records, its history, and last the version itself. It
// may be repeated after a crash.
func (s *Store) DropVersion(ref manifest.Ref) error {
	v, ok, err := s.Version(ref)
	if err != nil || !ok {
		return err
	}
	for _, f := range append(v.Former, Former{ID: v.ID}) {
		if err := s.dropRecords(f.ID); err != nil {
			return err
		}
	}
	return s.update(func(tx *bolt.Tx) error {
		key := []byte(ref.String())
		if passes := tx.Bucket(bucketPasses); passes.Bucket(key) != nil {
			if err := passes.DeleteBucket(key); err != nil {
				return err
			}
		}
		if err := dropWrong(tx, func(w *Wrong) bool { return w.Ref == ref }); err != nil {
			return err
		}
		return tx.Bucket(bucketVersions).Delete(key)
	})
}

func unmarshal(key, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: the value of %q: %w", ErrDamaged, key, err)
	}
	return nil
}
