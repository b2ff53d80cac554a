//go:build unix

package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/internal/hostiletest"
	"mimicsync/store"
)

// In a folder that a whole lab may write to, somebody has put something of his in the
// place of what a mirror's store keeps: whoever opens the mirror is told what stands
// where, at once, and nothing is done to what it leads to.
func TestWhatIsPlantedIsNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	for _, place := range []string{".", "state.db", "owner", "owner.next", "id"} {
		for _, kind := range hostiletest.Kinds() {
			t.Run(place+" is "+kind, func(t *testing.T) {
				t.Parallel()
				outside := hostiletest.NewOutside(t)
				mirror, state := t.TempDir(), ""
				if place == "id" || place == "owner.next" {
					state = t.TempDir() // else nobody asks for them
				}
				openMirror(t, locate(t, mirror, state)).close()
				if place == "owner.next" {
					elsewhere(t, mirror, time.Hour) // of a dead owner
				}
				path := filepath.Join(mirror, store.Dir, place)
				outside.Plant(t, kind, path)
				began := time.Now()
				at, err := store.Locate(mirror, state)
				if err == nil {
					var s *store.Store
					if s, err = store.Open(at, "test"); err == nil {
						must(t, s.Close())
					}
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				wantForeign(t, err, path)
				outside.Untouched(t)
			})
		}
	}
}

// wantForeign wants an error that says of path, and of no other, that it is foreign.
func wantForeign(t *testing.T, err error, path string) {
	t.Helper()
	failed, ok := errors.AsType[*fs.PathError](err)
	if _, foreign := errors.AsType[*store.ForeignError](err); !ok || !foreign || failed.Path != path {
		t.Errorf("error %v, want one that says what %s is", err, path)
	}
}

// The state of a mirror on a file server lies in a folder that the mirror's id names: an
// id that somebody made up leads nowhere else.
func TestAForgedIDLeadsNowhere(t *testing.T) {
	mirror, home := t.TempDir(), t.TempDir()
	states := filepath.Join(home, "a", "b", "states")
	must(t, os.MkdirAll(states, 0o700))
	must(t, os.Mkdir(filepath.Join(mirror, store.Dir), 0o700))
	must(t, os.WriteFile(filepath.Join(mirror, store.Dir, "id"), []byte("../../../victims"), 0o600)) // as long as an id is
	place := locate(t, mirror, states)
	if filepath.Dir(place.State) != states || strings.Contains(place.State, "victims") {
		t.Errorf("the state lies in %s, want it in %s", place.State, states)
	}
}

// Others could write to the folder of the store: whoever opens it next closes it to them,
// and leaves it open for reading.
func TestAFolderThatOthersMayWriteToIsClosed(t *testing.T) {
	mirror := t.TempDir()
	m := openMirror(t, locate(t, mirror, ""))
	m.close()
	own := filepath.Join(mirror, store.Dir)
	must(t, os.Chmod(own, 0o775))
	locate(t, mirror, "")
	if fi, err := os.Stat(own); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("%s has %v, %v, want 0755", own, fi.Mode(), err)
	}
}

// Whose folders are taken for mimicsync's: those of the mirror's owner, of root and of the
// user who asks, whoever that is; a mirror may be reached by a link that its user made.
func TestWhoIsBelieved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives folders away")
	}
	const member = hostiletest.Stranger
	for _, c := range []struct {
		name           string
		mirror, folder int // whose they are
		believed       bool
	}{
		{"root's own", 0, 0, true},
		{"root looks at a member's mirror", member, member, true},
		{"root made the folder of a member's mirror", member, 0, true},
		{"a member made the folder of root's mirror", 0, member, false},
		{"a member made the folder of another's mirror", member + 1, member, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			mirror := filepath.Join(t.TempDir(), "mirror")
			openMirror(t, locate(t, mirror, "")).close()
			own := filepath.Join(mirror, store.Dir)
			must(t, os.Chown(mirror, c.mirror, 0))
			must(t, os.Chown(own, c.folder, 0))
			link := filepath.Join(t.TempDir(), "link")
			must(t, os.Symlink(mirror, link))
			f, err := store.OpenFolder(link)
			if c.believed {
				must(t, err)
				must(t, f.Close())
				return
			}
			wantForeign(t, err, filepath.Join(link, store.Dir))
			if foreign, ok := errors.AsType[*store.ForeignError](err); ok && foreign.Owner != "user 4242" {
				t.Errorf("the owner is %q, want user 4242", foreign.Owner)
			}
		})
	}
}
