package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mimicsync/store"
)

func TestLocateTwice(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	a, b := locate(t, dir, state), locate(t, dir, state)
	if a != b || filepath.Dir(a.State) != state || a.Mirror != dir {
		t.Errorf("Locate = %v, then %v, want the same folder of %s", a, b, state)
	}
	if c := locate(t, t.TempDir(), state); c.State == a.State {
		t.Errorf("Locate of another mirror = %v, want another folder", c)
	}
	if own := locate(t, dir, ""); own.State != filepath.Join(dir, store.Dir) {
		t.Errorf("Locate without a folder = %v, want that of the mirror", own)
	}
}

// Two processes that begin a mirror at once find the same place, or the state of
// one would be lost.
func TestLocateAtOnce(t *testing.T) {
	for range 20 {
		dir, state := t.TempDir(), t.TempDir()
		places := make([]store.Place, 4)
		var wg sync.WaitGroup
		for i := range places {
			wg.Go(func() {
				var err error
				if places[i], err = store.Locate(dir, state); err != nil {
					t.Errorf("Locate = %v, want <nil>", err)
				}
			})
		}
		wg.Wait()
		for _, place := range places {
			if place != places[0] {
				t.Fatalf("Locate at once = %v and %v, want the same", place, places[0])
			}
		}
	}
}

func TestStateOnAnotherFolder(t *testing.T) {
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "not", "yet")
	m := openMirror(t, locate(t, dir, state))
	m.put(demo, "a")
	if _, err := os.Stat(filepath.Join(dir, store.Dir, "state.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(state.db in the mirror) = %v, want none", err)
	}
	if text := read(t, ownerPath(dir)); !strings.Contains(text, m.place.State) {
		t.Errorf("the owner file is %q, want it to name %s", text, m.place.State)
	}
	m.close()
	// The mirror has moved, and its state is found again.
	moved := filepath.Join(t.TempDir(), "moved")
	must(t, os.Rename(dir, moved))
	m.place = locate(t, moved, state)
	m.open()
	if _, ok, err := m.Version(demo); !ok || err != nil {
		t.Errorf("Version after a move = %t, %v, want it", ok, err)
	}
}

func TestReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write to every folder")
	}
	dir := t.TempDir()
	place := locate(t, dir, "")
	own := filepath.Join(dir, store.Dir)
	must(t, os.Chmod(own, 0o500))
	t.Cleanup(func() { _ = os.Chmod(own, 0o700) })
	if _, err := store.Open(place, "test"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("Open in a read-only folder = %v, want ErrPermission", err)
	}
	_, err := store.Locate(filepath.Join(own, "x"), "")
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("Locate in a read-only folder = %v, want ErrPermission", err)
	}
}
