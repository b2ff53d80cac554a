package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mimicsync/store"
)

// stateFiles are the names in the folder of a state, but for the owner's.
func stateFiles(t *testing.T, place store.Place) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(place.State)
	must(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "state.db") {
			all = append(all, e.Name())
		}
	}
	return all
}

// A new state takes the place of the one before only when it is whole; until then, and
// if it never is, the former one stays, be it good or damaged in any way.
func TestANewStateTakesThePlaceOfTheFormerOne(t *testing.T) {
	t.Parallel()
	good := string(sample(t, 3000))
	cyclic := ""
	for name, data := range aimed(t, []byte(good)) {
		if strings.HasSuffix(name, "to itself") {
			cyclic = string(data)
		}
	}
	for name, data := range map[string]string{"good": good, "cyclic": cyclic, "cut": good[:5000], "empty": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place := withFile(t, []byte(data))
			s, err := store.Recreate(place, "test")
			must(t, err)
			must(t, s.Close())
			if got := stateFiles(t, place); !slices.Equal(got, []string{"state.db"}) || read(t, place.File()) != data {
				t.Errorf("a new state that was given up left %v, want the former one as it was", got)
			}
			for _, want := range []string{"state.db.old.1", "state.db.old.2"} {
				was := read(t, place.File())
				s, err = store.Recreate(place, "test")
				must(t, err)
				_, err = s.PutVersion(store.Version{Ref: demo, Manifest: store.Manifest{Digest: digest(want)}})
				must(t, err)
				aside, err := s.Replace()
				if err != nil || filepath.Base(aside) != want {
					t.Fatalf("Replace = %q, %v, want %s", aside, err, want)
				}
				if read(t, aside) != was {
					t.Errorf("%s is not the former state", want)
				}
			}
			m := openMirror(t, place)
			v, known, err := m.Version(demo)
			if err != nil || !known || v.Manifest.Digest != digest("state.db.old.2") {
				t.Errorf("Version = %+v, %t, %v, want what the new state was told", v, known, err)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		place := locate(t, t.TempDir(), "")
		s, err := store.Recreate(place, "test")
		must(t, err)
		if aside, err := s.Replace(); aside != "" || err != nil {
			t.Errorf("Replace = %q, %v, want nothing aside", aside, err)
		}
		openMirror(t, place)
	})
}

// Nobody makes a new state while another process works with the former one, nor works
// with that while the new one is made.
func TestANewStateNeedsTheMirror(t *testing.T) {
	if testing.Short() {
		t.Skip("waits a second for each lock")
	}
	t.Parallel()
	m := newMirror(t)
	if _, err := store.Recreate(m.place, "test"); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Recreate beside an open store = %v, want ErrLocked", err)
	}
	m.close()
	s, err := store.Recreate(m.place, "test")
	must(t, err)
	if _, err := store.Open(m.place, "test"); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Open beside a new state = %v, want ErrLocked", err)
	}
	if _, err := store.Recreate(m.place, "test"); !errors.Is(err, store.ErrLocked) {
		t.Errorf("Recreate beside a new state = %v, want ErrLocked", err)
	}
	if _, err := s.Replace(); err != nil {
		t.Errorf("Replace = %v, want <nil>", err)
	}
	m.open()
}
