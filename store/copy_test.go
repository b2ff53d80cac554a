package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mimicsync/store"
)

// trace is all that can be seen of a folder from outside: names, modes, sizes, times.
func trace(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			all[path] = fs.FormatFileInfo(fi) + fi.ModTime().String()
		}
		return err
	}))
	return all
}

// While another process writes all the time, each look shows a state as it was after
// one of its transactions, and leaves nothing behind.
func TestACopyBesideTheOwner(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	p := startHelper(t, "write", dir)
	if p.line(t) == "" {
		t.Fatal("the helper says nothing")
	}
	last := int64(0)
	for range 20 {
		s, err := store.OpenCopy(dir, "")
		must(t, err)
		must(t, s.Check())
		v, _, err := s.Version(demo)
		must(t, err)
		files, _, err := s.Totals(v.ID)
		must(t, err)
		if files < last || files%batchSize != 0 {
			t.Errorf("a look shows %d files after one of %d, want whole batches of %d, and no fewer", files, last, batchSize)
		}
		last = files
		must(t, s.Commit(store.Batch{ID: v.ID, Lost: verifiedRange(0, files)})) // of the copy
		must(t, s.Close())
	}
	p.kill(t)
	if last == 0 {
		t.Error("no look showed a file")
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("the looks left %v, %v", left, err)
	}
	m := openMirror(t, locate(t, dir, ""))
	if files, _, err := m.Totals(1); files < last || err != nil {
		t.Errorf("Totals = %d, %v, want the %d that a look showed, or more", files, err, last)
	}
}

// A look changes nothing, wherever the state is, and where there is none.
func TestACopyChangesNothing(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, tt := range []struct {
		name  string
		state bool // in a folder of its own
		make  bool
	}{{"in the mirror", false, true}, {"elsewhere", true, true}, {"none", false, false}, {"none elsewhere", true, false}} {
		t.Run(tt.name, func(t *testing.T) {
			dir, state := filepath.Join(t.TempDir(), "mirror"), ""
			if tt.state {
				state = t.TempDir()
			}
			if tt.make {
				m := openMirror(t, locate(t, dir, state))
				m.put(demo, "a")
				m.close()
			}
			before := trace(t, filepath.Dir(dir))
			s, err := store.OpenCopy(dir, state)
			must(t, err)
			_, known, err := s.Version(demo)
			if known != tt.make || err != nil {
				t.Errorf("Version = %t, %v, want %t", known, err, tt.make)
			}
			_, err = s.PutVersion(store.Version{Ref: demo, Manifest: store.Manifest{Digest: digest("b")}})
			must(t, err)
			must(t, s.Lost())
			must(t, s.Close())
			if diff := cmp.Diff(before, trace(t, filepath.Dir(dir))); diff != "" {
				t.Errorf("a look changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestACopyOfADamagedState(t *testing.T) {
	whole := sample(t, 1500)
	for _, data := range [][]byte{whole[:len(whole)/2], []byte("this is no database, however long one looks at it")} {
		place := withFile(t, data)
		s, err := store.OpenCopy(place.Mirror, "")
		if err == nil {
			must(t, s.Close())
		}
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("OpenCopy = %v, want ErrDamaged", err)
		}
	}
}
