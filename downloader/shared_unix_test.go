//go:build unix

package downloader_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/tree"
	"mimicsync/store"
)

// What a lab shares belongs to its group, down to the folders and the manifest,
// although whoever pulls keeps others out of all else.
func TestASharedMirrorBelongsToItsGroup(t *testing.T) {
	old := syscall.Umask(0o077) // of all tests: this one does not run beside others
	t.Cleanup(func() { syscall.Umask(old) })
	group := anotherGroup(t)
	p := project(file("hosp/a", 100), file("hosp/deep/b", 3<<20), file("c", 0))
	s := newSite(t, nil, p)
	r := newRig(t, rigOptions{site: s, tree: tree.Options{FileMode: 0o640, DirMode: 0o750, Group: group}})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 3, Fetched: 3})
	checked := 0
	must(t, filepath.WalkDir(filepath.Join(r.dir, "demo"), func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		fi, err := os.Lstat(path)
		must(t, err)
		want := fs.FileMode(0o640)
		if d.IsDir() {
			want = 0o750
		}
		if got := fi.Mode().Perm(); got != want || int(fi.Sys().(*syscall.Stat_t).Gid) != group {
			t.Errorf("%s has %v of group %d, want %v of %d", strings.TrimPrefix(path, r.dir), got, fi.Sys().(*syscall.Stat_t).Gid, want, group)
		}
		checked++
		return nil
	}))
	if checked != 8 { // four folders, three files, the manifest
		t.Errorf("%d names checked, want 8", checked)
	}
}

// What another tool brought is patient data as well: it gets the permissions and the group
// of what is fetched, by a pull and by a verification that makes a lost state anew. A file
// that somebody keeps under another name, too, stays as it is.
func TestAdoptedFilesGetTheMirrorsPermissions(t *testing.T) {
	group := anotherGroup(t)
	files := []lookalike.GeneratedFile{file("hosp/a.csv", 700), file("hosp/b.csv", 900), file("c.txt", 0)}
	s := newSite(t, nil, project(files...))
	for _, how := range []string{"pull", "verify"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t, rigOptions{site: s, tree: tree.Options{FileMode: 0o640, DirMode: 0o750, Group: group}})
			if how == "verify" { // of a mirror that has lost its state, and whose permissions somebody changed
				r.pull()
				r.close()
				must(t, os.Remove(filepath.Join(r.dir, store.Dir, "state.db")))
				r.open()
				must(t, r.syncer.Adopt(t.Context(), demo))
			}
			for _, f := range files {
				must(t, os.RemoveAll(r.path(f.Path)))
				r.plant(f.Path, content(t, f))
				must(t, os.Chmod(r.path(f.Path), 0o664))
			}
			must(t, os.Link(r.path("hosp/b.csv"), filepath.Join(t.TempDir(), "backup")))
			if how == "pull" {
				wantFiles(t, r.pull(), store.Complete, store.Files{Total: 3, Adopted: 3})
			} else if v := r.verify(); v.Verified != 3 {
				t.Errorf("verification = %+v, want 3 right", v)
			}
			for name, want := range map[string]fs.FileMode{"hosp/a.csv": 0o640, "c.txt": 0o640, "hosp/b.csv": 0o664} {
				fi, err := os.Lstat(r.path(name))
				must(t, err)
				if got := fi.Mode().Perm(); got != want {
					t.Errorf("%s has %v, want %v", name, got, want)
				}
				if gid := int(fi.Sys().(*syscall.Stat_t).Gid); (gid == group) != (want == 0o640) {
					t.Errorf("%s has group %d, and that of the mirror is %d", name, gid, group)
				}
			}
		})
	}
}

// anotherGroup is one that is not that of the files this process makes.
func anotherGroup(t *testing.T) int {
	t.Helper()
	if os.Geteuid() == 0 {
		return 4242
	}
	groups, err := os.Getgroups()
	must(t, err)
	for _, g := range groups {
		if g != os.Getegid() && g != 0 {
			return g
		}
	}
	t.Skip("this user is in one group only")
	return 0
}
