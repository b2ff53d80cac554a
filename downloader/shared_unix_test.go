//go:build unix

package downloader_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mimicsync/downloader"
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
	r := newRig(t, rigOptions{site: s, tree: downloader.TreeOptions{FileMode: 0o640, DirMode: 0o750, Group: group}})
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
