package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"mimicsync/manifest"
)

// Record says that the file of one entry was read whole and had the entry's digest, with
// the Size and ModTime that it had then. Or it says that the file was Lost since: it should
// be in the mirror, and must be fetched again.
type Record struct {
	Lost     bool      // then the other fields are zero
	Size     int64     // bytes
	ModTime  time.Time // kept as UnixNano, which covers the years 1678 to 2262
	Verified time.Time // to the second
}

// Located is a record with its place: the id of a Version, and the offset of the entry in
// that version's manifest.
type Located struct {
	ID     uint32
	Offset int64
	Record Record
}

// Verified is an entry whose file is in its place, whole and durable.
type Verified struct {
	Offset int64
	Digest manifest.Digest
	Record Record
}

// errNoDigest is a mistake of the caller: no file has a digest of zeros.
var errNoDigest = errors.New("store: a record with a digest that was never computed")

// Batch is one transaction for one Version. Put a record only after the file's bytes and
// its name are durable.
type Batch struct {
	ID   uint32
	Put  []Verified        // sorted by Commit
	Lost []Verified        // entries whose file is gone or wrong now; only Offset and Digest count
	Done []manifest.Digest // partials that became files or were given up
	// Wrong are wrong answers of sources, for any version.
	Wrong []Wrong
}

// The first byte of a record.
const (
	recordVerified = 1
	recordLost     = 2
)

func encodeRecord(b []byte, r Record) []byte {
	if r.Lost {
		return append(b, recordLost)
	}
	b = append(b, recordVerified)
	b = binary.AppendUvarint(b, uint64(r.Size)) //nolint:gosec // sizes are not negative
	b = binary.BigEndian.AppendUint64(b, uint64(r.ModTime.UnixNano()))
	return binary.AppendUvarint(b, uint64(max(r.Verified.Unix(), 0)))
}

func decodeRecord(b []byte) (Record, error) {
	if len(b) == 1 && b[0] == recordLost {
		return Record{Lost: true}, nil
	}
	if len(b) < 11 || b[0] != recordVerified {
		return Record{}, fmt.Errorf("%w: a record of %d bytes has an unknown form", ErrDamaged, len(b))
	}
	size, n := binary.Uvarint(b[1:])
	if n <= 0 || len(b) < 1+n+9 || size > math.MaxInt64 {
		return Record{}, fmt.Errorf("%w: a record is cut", ErrDamaged)
	}
	b = b[1+n:]
	verified, n := binary.Uvarint(b[8:])
	if n <= 0 || verified > math.MaxInt64 {
		return Record{}, fmt.Errorf("%w: a record is cut", ErrDamaged)
	}
	return Record{
		Size:     int64(size),
		ModTime:  time.Unix(0, int64(binary.BigEndian.Uint64(b))), //nolint:gosec // round trip
		Verified: time.Unix(int64(verified), 0),
	}, nil
}

func idKey(id uint32) []byte { return binary.BigEndian.AppendUint32(nil, id) }

func offsetKey(b []byte, offset int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(offset)) //nolint:gosec // offsets are not negative
}

const (
	digestPrefix  = 8 // of 32 bytes: enough to find a candidate, which the manifest's line then proves
	digestKeySize = digestPrefix + 4 + 8
)

func digestKey(d manifest.Digest, id uint32, offset int64) []byte {
	b := make([]byte, 0, digestKeySize)
	b = append(b, d[:digestPrefix]...)
	b = binary.BigEndian.AppendUint32(b, id)
	return offsetKey(b, offset)
}

// Commit applies a batch in one transaction. It sorts the batch's slices.
func (s *Store) Commit(batch Batch) error {
	if len(batch.Put)+len(batch.Lost)+len(batch.Done)+len(batch.Wrong) == 0 {
		return nil
	}
	if slices.ContainsFunc(batch.Put, func(v Verified) bool { return v.Digest == manifest.Digest{} }) {
		return errNoDigest
	}
	return s.update(func(tx *bolt.Tx) error {
		records, err := tx.Bucket(bucketRecords).CreateBucketIfNotExists(idKey(batch.ID))
		if err != nil {
			return err
		}
		records.FillPercent = 0.9 // keys mostly arrive in order: full leaves halve the file
		digests := tx.Bucket(bucketDigests)
		if err := loseRecords(records, digests, batch.Lost, batch.ID); err != nil {
			return err
		}
		if err := putRecords(records, digests, batch); err != nil {
			return err
		}
		partials := tx.Bucket(bucketPartials)
		for _, d := range batch.Done {
			if err := partials.Delete(d[:]); err != nil {
				return err
			}
		}
		return putWrong(tx.Bucket(bucketWrong), batch.Wrong)
	})
}

func loseRecords(records, digests *bolt.Bucket, lost []Verified, id uint32) error {
	for _, v := range lost {
		if err := records.Put(offsetKey(nil, v.Offset), encodeRecord(nil, Record{Lost: true})); err != nil {
			return err
		}
		if err := digests.Delete(digestKey(v.Digest, id, v.Offset)); err != nil {
			return err
		}
	}
	return nil
}

func putRecords(records, digests *bolt.Bucket, batch Batch) error {
	slices.SortFunc(batch.Put, func(a, b Verified) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, v := range batch.Put {
		if err := records.Put(offsetKey(nil, v.Offset), encodeRecord(nil, v.Record)); err != nil {
			return err
		}
	}
	// The second index has another order: neighbours share a page.
	slices.SortFunc(batch.Put, func(a, b Verified) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	for _, v := range batch.Put {
		if err := digests.Put(digestKey(v.Digest, batch.ID, v.Offset), nil); err != nil {
			return err
		}
	}
	return nil
}

// Records appends to buf at most limit records of a Version, in manifest order, from offset
// on. To walk through all of them without holding a snapshot, call it again with the last
// offset plus one.
func (s *Store) Records(id uint32, from int64, limit int, buf []Located) ([]Located, error) {
	err := s.view(func(tx *bolt.Tx) error {
		records := tx.Bucket(bucketRecords).Bucket(idKey(id))
		if records == nil {
			return nil
		}
		c := records.Cursor()
		for k, v := c.Seek(offsetKey(nil, from)); k != nil && limit > 0; k, v = c.Next() {
			r, err := decodeRecord(v)
			if err != nil {
				return err
			}
			buf = append(buf, Located{ID: id, Offset: int64(binary.BigEndian.Uint64(k)), Record: r}) //nolint:gosec // written from an int64
			limit--
		}
		return nil
	})
	return buf, err
}

// Copies returns at most limit records of files that may have this digest, in any version
// of any dataset: the first 8 bytes of the digest agree. The line at Offset of the
// version's manifest has the whole digest and the path. It begins after the place that an
// earlier call returned; the zero Located means the beginning.
func (s *Store) Copies(d manifest.Digest, after Located, limit int) ([]Located, error) {
	var found []Located
	err := s.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketDigests).Cursor()
		prefix := d[:digestPrefix]
		for k, _ := c.Seek(digestKey(d, after.ID, after.Offset+1)); len(k) == digestKeySize && bytes.HasPrefix(k, prefix) && len(found) < limit; k, _ = c.Next() {
			records := tx.Bucket(bucketRecords).Bucket(k[digestPrefix : digestPrefix+4])
			if records == nil {
				continue // the id is being dropped
			}
			v := records.Get(k[digestPrefix+4:])
			if v == nil {
				continue
			}
			r, err := decodeRecord(v)
			if err != nil {
				return err
			}
			found = append(found, Located{
				ID:     binary.BigEndian.Uint32(k[digestPrefix:]),
				Offset: int64(binary.BigEndian.Uint64(k[digestPrefix+4:])), //nolint:gosec // written from an int64
				Record: r,
			})
		}
		return nil
	})
	return found, err
}

// Recorded reports of each digest whether Copies may return something for it. One call
// looks up many digests in a fraction of the time of as many calls of Copies.
func (s *Store) Recorded(digests []manifest.Digest) ([]bool, error) {
	found := make([]bool, len(digests))
	err := s.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketDigests).Cursor()
		for i := range digests {
			k, _ := c.Seek(digests[i][:digestPrefix])
			found[i] = bytes.HasPrefix(k, digests[i][:digestPrefix])
		}
		return nil
	})
	return found, err
}

// Totals counts the verified files of a Version and adds up their sizes.
func (s *Store) Totals(id uint32) (files, size int64, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		records := tx.Bucket(bucketRecords).Bucket(idKey(id))
		if records == nil {
			return nil
		}
		return records.ForEach(func(_, v []byte) error {
			r, err := decodeRecord(v)
			if err == nil && !r.Lost {
				files, size = files+1, size+r.Size
			}
			return err
		})
	})
	return files, size, err
}

// dropBatch is how many digests one transaction of dropRecords reads: few enough that other
// writers hardly wait.
const dropBatch = 20_000

// dropRecords removes all records of an id that no Version uses any more. It runs in
// several transactions and may be repeated after a crash.
func (s *Store) dropRecords(id uint32) error {
	for next := []byte{}; next != nil; {
		if err := s.update(func(tx *bolt.Tx) (err error) {
			next, err = dropDigests(tx.Bucket(bucketDigests), id, next)
			return err
		}); err != nil {
			return err
		}
	}
	return s.update(func(tx *bolt.Tx) error {
		records := tx.Bucket(bucketRecords)
		if records.Bucket(idKey(id)) == nil {
			return nil
		}
		return records.DeleteBucket(idKey(id))
	})
}

// dropDigests removes the keys of an id among the next dropBatch keys from key on, and
// returns the key to continue with, nil at the end.
func dropDigests(digests *bolt.Bucket, id uint32, from []byte) ([]byte, error) {
	want := idKey(id)
	var keys [][]byte
	var next []byte
	c := digests.Cursor()
	seen := 0
	for k, _ := c.Seek(from); k != nil; k, _ = c.Next() {
		if seen++; seen > dropBatch {
			next = bytes.Clone(k)
			break
		}
		if len(k) == digestKeySize && bytes.Equal(k[digestPrefix:digestPrefix+4], want) {
			keys = append(keys, bytes.Clone(k)) // deleting while a cursor walks would skip keys
		}
	}
	for _, k := range keys {
		if err := digests.Delete(k); err != nil {
			return nil, err
		}
	}
	return next, nil
}
