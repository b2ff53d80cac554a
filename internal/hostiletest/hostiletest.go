//go:build unix

// Package hostiletest plays somebody who can write to a mirror's folder and replaces
// mimicsync's files there, and checks that no file of anybody else is touched.
package hostiletest

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Stranger is the user whose files are planted if the tests run as root.
const Stranger = 4242

// Outside is a folder outside of any mirror, with files that somebody would miss.
type Outside struct {
	Dir     string
	watched []string          // folders
	before  map[string]string // of each name in them, what it was
}

// precious are the files of an Outside. Some have names that mimicsync uses, too.
var precious = []string{
	"thesis.tex", "owner", "owner.next", "id", "token", "state.db", "control.addr", "partial/chapter-1.tex", "manifests/notes.txt",
	"quarantine/demo/1.0/mine.csv", "demo/1.0/theirs.csv",
}

// NewOutside makes one.
func NewOutside(t testing.TB) *Outside {
	t.Helper()
	o := &Outside{Dir: filepath.Join(t.TempDir(), "outside"), before: map[string]string{}}
	fill(t, o.Dir)
	o.watch(t, o.Dir)
	return o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill creates files that were last read a day ago: reading one shows, if the file system
// keeps the time of reading.
func fill(t testing.TB, dir string) {
	t.Helper()
	for _, name := range precious {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))                             //nolint:gosec // so that everybody could read it
		must(t, os.WriteFile(path, []byte("nobody's business: "+name+"\n"), 0o644)) //nolint:gosec // likewise
		must(t, os.Chtimes(path, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)))
	}
}

// watch remembers what is below a folder.
func (o *Outside) watch(t testing.TB, dir string) {
	t.Helper()
	o.watched = append(o.watched, dir)
	walk(t, dir, func(path, is string) { o.before[path] = is })
}

func walk(t testing.TB, dir string, see func(path, is string)) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		is := fmt.Sprintf("%v, of user %d", fi.Mode(), fi.Sys().(*syscall.Stat_t).Uid)
		if fi.Mode().IsRegular() {
			is += fmt.Sprintf(", read at %v", read(fi)) // before it is read here
			b, err := os.ReadFile(path)                 //nolint:gosec // a folder of the test's own
			must(t, err)
			is += fmt.Sprintf(", %x", sha256.Sum256(b))
			must(t, os.Chtimes(path, read(fi), fi.ModTime())) //nolint:gosec // likewise
		}
		see(path, is)
		return nil
	}))
}

// Untouched fails the test if anything outside was read, changed, removed or added.
func (o *Outside) Untouched(t testing.TB) {
	t.Helper()
	left := map[string]bool{}
	for _, dir := range o.watched {
		walk(t, dir, func(path, is string) {
			left[path] = true
			if was, ok := o.before[path]; !ok {
				t.Errorf("%s was made outside of the mirror", path)
			} else if is != was {
				t.Errorf("%s outside of the mirror was %s, and is %s", path, was, is)
			}
		})
	}
	for path := range o.before {
		if !left[path] {
			t.Errorf("%s outside of the mirror is gone", path)
		}
	}
}

// planters plant each kind of thing. rootPlanters plant those that need root.
var planters = map[string]func(t testing.TB, o *Outside, path string){
	"a link to a folder": func(t testing.TB, o *Outside, path string) { must(t, os.Symlink(o.Dir, path)) },
	"a link to a file": func(t testing.TB, o *Outside, path string) {
		must(t, os.Symlink(filepath.Join(o.Dir, precious[0]), path))
	},
	"a link to nothing": func(t testing.TB, o *Outside, path string) {
		must(t, os.Symlink(filepath.Join(o.Dir, "nothing"), path))
	},
	"a FIFO":   func(t testing.TB, _ *Outside, path string) { must(t, syscall.Mkfifo(path, 0o600)) },
	"a socket": func(t testing.TB, _ *Outside, path string) { plantSocket(t, path) },
}

var rootPlanters = map[string]func(t testing.TB, o *Outside, path string){
	"a device": func(t testing.TB, _ *Outside, path string) { must(t, makeDevice(path)) },
	"a stranger's folder": func(t testing.TB, o *Outside, path string) {
		fill(t, path)
		giveAway(t, path)
		o.watch(t, path)
	},
	"a stranger's file": func(t testing.TB, _ *Outside, path string) {
		must(t, os.WriteFile(path, []byte("0123456789abcdef\n"), 0o644)) //nolint:gosec // so that mimicsync could read it
		giveAway(t, path)
	},
}

// Kinds are the names of all things that this user can plant.
func Kinds() []string {
	kinds := slices.Collect(maps.Keys(planters))
	if os.Geteuid() == 0 {
		kinds = slices.AppendSeq(kinds, maps.Keys(rootPlanters))
	}
	slices.Sort(kinds)
	return kinds
}

// Plant replaces the file at a name by a kind of thing.
func (o *Outside) Plant(t testing.TB, kind, path string) {
	t.Helper()
	o.Remove(t, path)
	plant := planters[kind]
	if plant == nil {
		plant = rootPlanters[kind]
	}
	plant(t, o, path)
}

// Remove removes what was planted.
func (o *Outside) Remove(t testing.TB, path string) {
	t.Helper()
	must(t, os.RemoveAll(path))
	o.watched = slices.DeleteFunc(o.watched, func(dir string) bool { return dir == path })
	maps.DeleteFunc(o.before, func(name, _ string) bool { return name == path || strings.HasPrefix(name, path+"/") })
}

// giveAway gives a tree to the stranger.
func giveAway(t testing.TB, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, Stranger, Stranger) //nolint:gosec // a folder of the test's own
	}))
}

// plantSocket creates a socket at which a process listens and never answers. It is bound
// under a short name, because long paths are rejected.
func plantSocket(t testing.TB, path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") //nolint:usetesting // that of the test has too long a name
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "s"))
	must(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	t.Cleanup(func() { _ = l.Close() })
	must(t, os.Rename(filepath.Join(dir, "s"), path))
}
