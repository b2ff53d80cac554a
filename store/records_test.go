package store

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"mimicsync/manifest"
)

func TestDecodeRecord(t *testing.T) {
	good := encodeRecord(nil, Record{Size: 300, ModTime: time.Unix(5, 6), Verified: time.Unix(7, 0)})
	huge := append(binary.AppendUvarint([]byte{recordVerified}, math.MaxUint64), make([]byte, 9)...)
	for name, b := range map[string][]byte{
		"empty": nil, "another form": append([]byte{3}, good[1:]...), "cut": good[:len(good)-1], "only the form": {recordVerified}, "lost and more": {recordLost, 0},
		"endless size": append([]byte{recordVerified}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "size beyond int64": huge,
	} {
		if r, err := decodeRecord(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("decodeRecord(%s) = %v, %v, want ErrDamaged", name, r, err)
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, r := range []Record{
		{Lost: true},
		{Size: 0, ModTime: time.Unix(0, 0), Verified: time.Unix(0, 0)},
		{Size: math.MaxInt64, ModTime: time.Unix(0, math.MaxInt64), Verified: time.Unix(math.MaxInt32, 0)},
		{Size: 4096, ModTime: time.Unix(-1, 1), Verified: time.Unix(1, 0)}, // before 1970
		{Size: 4096, ModTime: time.Unix(0, math.MinInt64), Verified: time.Unix(1<<40, 0)},
	} {
		got, err := decodeRecord(encodeRecord(nil, r))
		if err != nil || !same(got, r) {
			t.Errorf("decodeRecord(encodeRecord(%v)) = %v, %v, want the same", r, got, err)
		}
	}
}

func same(a, b Record) bool {
	return a.Lost == b.Lost && a.Size == b.Size && a.ModTime.Equal(b.ModTime) && a.Verified.Equal(b.Verified)
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(encodeRecord(nil, Record{Lost: true}))
	f.Add(encodeRecord(nil, Record{Size: 300, ModTime: time.Unix(5, 6), Verified: time.Unix(7, 0)}))
	f.Add(encodeRecord(nil, Record{Size: math.MaxInt64, ModTime: time.Unix(0, math.MinInt64), Verified: time.Unix(1<<40, 0)}))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("decodeRecord(%x) = %v, want ErrDamaged", b, err)
			}
			return
		}
		if !r.Lost && (r.Size < 0 || r.Verified.Unix() < 0) {
			t.Skip("no record that was written: see TestDecodeRecord")
		}
		again, err := decodeRecord(encodeRecord(nil, r))
		if err != nil || !same(again, r) {
			t.Errorf("decodeRecord(encodeRecord(%v)) = %v, %v, want the same", r, again, err)
		}
	})
}

// A manifest that changes while DropFormer works must stay the one in force.
func TestDropFormerBesidePutVersion(t *testing.T) {
	place, err := Locate(t.TempDir(), "")
	check(t, err)
	s, err := Open(place, "test")
	check(t, err)
	t.Cleanup(func() {
		check(t, s.Check())
		check(t, s.Close())
	})
	ref := manifest.Ref{Dataset: "demo", Version: "1.0"}
	put := func(m byte) {
		_, err := s.PutVersion(Version{Ref: ref, Manifest: Manifest{Digest: manifest.Digest{m}}})
		check(t, err)
	}
	put(1)
	put(2)
	// Both wait for this transaction, DropFormer with what it has read before.
	tx, err := s.db.Begin(true)
	check(t, err)
	dropped, stored := make(chan error, 1), make(chan struct{})
	go func() { dropped <- s.DropFormer(ref) }()
	time.Sleep(20 * time.Millisecond)
	go func() { put(3); close(stored) }()
	time.Sleep(20 * time.Millisecond)
	check(t, tx.Rollback())
	check(t, <-dropped)
	<-stored

	v, _, err := s.Version(ref)
	if err != nil || v.Manifest.Digest != (manifest.Digest{3}) {
		t.Errorf("Version = %v, %v, want the manifest that was put last", v.Manifest.Digest, err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
