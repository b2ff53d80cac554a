//go:build unix

// Package hostiletest plays somebody who may write to a mirror's folder and replaces
// what mimicsync keeps there, and sees to it that nothing of anybody else's is touched.
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

// Stranger is the user whose files are planted where the tests run as root.
const Stranger = 4242

// Outside is a folder that is no mirror's, with what somebody would miss.
type Outside struct {
	Dir     string
	watched []string          // folders
	before  map[string]string // of each name in them, what it was
}

// precious are the files of an Outside. Some have names that mimicsync gives to its own.
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

// fill makes the files of somebody who last looked at them a day ago: reading one shows,
// where the file system keeps the time of it.
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

// planters make each kind of thing that can be planted. What root alone can plant stands in
// rootPlanters.
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

// Kinds are all that this user can plant, by name.
func Kinds() []string {
	kinds := slices.Collect(maps.Keys(planters))
	if os.Geteuid() == 0 {
		kinds = slices.AppendSeq(kinds, maps.Keys(rootPlanters))
	}
	slices.Sort(kinds)
	return kinds
}

// Plant puts a kind of thing in place of whatever there is.
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

// giveAway makes a tree the stranger's.
func giveAway(t testing.TB, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, Stranger, Stranger) //nolint:gosec // a folder of the test's own
	}))
}

// plantSocket makes a socket at which somebody listens and never says a word. It is
// bound under a short name, for a path that is long is refused.
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
