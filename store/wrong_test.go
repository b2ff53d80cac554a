package store_test

import (
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"mimicsync/store"
)

func (m *mirror) wantWrongAt(text string, want ...string) {
	m.t.Helper()
	got, err := m.WrongAt(digest(text))
	must(m.t, err)
	if !slices.Equal(got, want) {
		m.t.Errorf("WrongAt(%s) = %v, want %v", text, got, want)
	}
}

func wrongAt(text, source string, at time.Time) store.Wrong {
	return store.Wrong{Digest: digest(text), Source: source, Ref: demo, At: at}
}

func TestWrongDigestsAreRememberedForAWhile(t *testing.T) {
	m := newMirror(t)
	m.put(demo, "manifest")
	now := time.Now()
	m.commit(store.Batch{Wrong: []store.Wrong{
		wrongAt("a", "s3", now), wrongAt("a", "gcs", now), wrongAt("b", "gcs", now.Add(-31*24*time.Hour)),
	}})
	m.wantWrongAt("a", "gcs", "s3")
	m.wantWrongAt("b")
	m.wantWrongAt("c")

	must(t, m.DropOldWrong())
	m.close()
	if got := keys(t, m.place.File())["wrong"]; got != 2 {
		t.Errorf("%d keys are kept, want the two that count", got)
	}
	m.open()
	m.wantWrongAt("a", "gcs", "s3")
}

// A corrected manifest may mean that the copies are corrected, too.
func TestANewManifestForgetsWhatWasWrong(t *testing.T) {
	m := newMirror(t)
	m.put(demo, "manifest")
	other := wrongAt("b", "s3", time.Now())
	other.Ref = demo2
	m.commit(store.Batch{Wrong: []store.Wrong{wrongAt("a", "s3", time.Now()), other}})
	m.put(demo, "manifest")
	m.wantWrongAt("a", "s3")
	m.put(demo, "corrected")
	m.wantWrongAt("a")
	m.wantWrongAt("b", "s3")
}

func TestAFileOfAProgramThatKnewNoWrong(t *testing.T) {
	m := newMirror(t)
	m.put(demo, "manifest")
	m.close()
	db, err := bolt.Open(m.place.File(), 0o600, nil)
	must(t, err)
	for _, name := range []string{"wrong", "rates", "agendas", "received"} {
		must(t, db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte(name)) }))
	}
	must(t, db.Close())

	m.open()
	m.commit(store.Batch{Wrong: []store.Wrong{wrongAt("a", "s3", time.Now())}})
	m.wantWrongAt("a", "s3")
	if v, ok, err := m.Version(demo); !ok || err != nil || v.Manifest.Digest != digest("manifest") {
		t.Errorf("Version = %+v, %v, %v, want it as it was", v, ok, err)
	}
}

// An object that is wrong as long as its validator stays is remembered for as long,
// and a value of an older program counts as before.
func TestAWrongObjectIsRememberedUntilItChanges(t *testing.T) {
	m := newMirror(t)
	m.put(demo, "manifest")
	long := time.Now().Add(-400 * 24 * time.Hour)
	fixed := wrongAt("a", "s3", long)
	fixed.Validator = `"0123"`
	m.commit(store.Batch{Wrong: []store.Wrong{fixed, wrongAt("b", "s3", long)}})
	m.close()
	db, err := bolt.Open(m.place.File(), 0o600, nil)
	must(t, err)
	must(t, db.Update(func(tx *bolt.Tx) error {
		d := digest("c")
		at := time.Now().Add(-time.Hour).Format(time.RFC3339)
		return tx.Bucket([]byte("wrong")).Put(append(d[:], "gcs"...), []byte(`{"Ref":{"Dataset":"demo","Version":"1.0"},"At":"`+at+`"}`))
	}))
	must(t, db.Close())
	m.open()

	must(t, m.DropOldWrong())
	m.wantWrongAt("a", "s3")
	m.wantWrongAt("b")
	m.wantWrongAt("c", "gcs")
	got, err := m.WrongOf(digest("a"))
	if err != nil || len(got) != 1 || got[0].Validator != `"0123"` || got[0].Source != "s3" || !got[0].At.Equal(long) {
		t.Errorf("WrongOf(a) = %+v, %v, want what was remembered", got, err)
	}
	m.put(demo, "corrected")
	m.wantWrongAt("a")
}
