package downloader_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/tree"
	"mimicsync/store"
)

// mountAt puts a file system of its own at a folder.
func mountAt(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	if err := syscall.Mount("mimicsync-test", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("cannot mount a disk here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
}

// A folder of the version is another disk, which the mirror's syncs do not reach:
// nothing is recorded of it, be it fetched, linked or found there, no byte of it
// is paid for, and a person reads what to do. All else is fetched.
func TestADiskMountedInsideTheMirror(t *testing.T) {
	for _, tt := range []struct {
		name   string
		late   bool // it is mounted while a process remembers the folder
		kernel tree.Quirks
	}{
		{"before the start", false, tree.Quirks{}},
		{"before the start, with an old kernel", false, tree.Quirks{NoOpenat2: true}},
		{"while a daemon runs", true, tree.Quirks{}},
		{"while a daemon runs, with an old kernel", true, tree.Quirks{NoOpenat2: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here := file("d/here", 1000)
			files := []lookalike.GeneratedFile{
				file("d/small", 1000), file("d/big", 2*mega), here, same("d/twin", "x"), same("twin", "x"), file("e", 1000),
			}
			dir := t.TempDir()
			d := filepath.Join(dir, "demo", "1.0", "d")
			s := newSite(t, nil, project(files...))
			if !tt.late {
				mountAt(t, d)
			}
			r := newRig(t, rigOptions{site: s, dir: dir, tree: tree.Options{Quirks: tt.kernel}})
			if tt.late {
				r.pull("d/small")
				mountAt(t, d)
			}
			r.plant("d/here", content(t, here))
			s.Reset()

			report := r.pull()
			wantFiles(t, report, store.Incomplete, store.Files{Total: 6, Fetched: 2, Failed: 4})
			for _, f := range report.Failures {
				if f.Reason != string(failure.ReasonIO) || !strings.Contains(f.Detail, "demo/1.0/d") || !strings.Contains(f.Detail, "make the whole mirror one file system") {
					t.Errorf("%s failed by %s: %s; want io, and what to do", f.Path, f.Reason, f.Detail)
				}
			}
			if got := s.Counters().Files; got != 2 {
				t.Errorf("%d files were asked for, want the 2 outside", got)
			}
			r.has(here)
			if entries, err := os.ReadDir(d); err != nil || len(entries) != 1 {
				t.Errorf("on the other disk are %v, %v, want what was there", entries, err)
			}
			v := r.verify()
			if v.Verified != 2 || v.Unreadable != 1 {
				t.Errorf("verification = %+v, want the 2 outside right, and what is on the other disk unreadable", v)
			}
			again := r.pull()
			wantFiles(t, again, store.Incomplete, store.Files{Total: 6, Present: 2, Failed: 4})
		})
	}
}

// A version that somebody moved to a disk of its own still has its files, for another
// version to take.
func TestATwinOnAnotherDiskIsCopied(t *testing.T) {
	x := []lookalike.GeneratedFile{same("x", "the same in both versions\n")}
	s := newSite(t, nil, versions(x, x))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	one := filepath.Join(r.dir, "demo", "1.0")
	fi, err := os.Stat(r.path("x"))
	must(t, err)
	mountAt(t, one)
	r.plant("x", x[0].Data)
	must(t, os.Chtimes(r.path("x"), fi.ModTime(), fi.ModTime()))
	s.Reset()
	report, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Linked: 1})
}

// A pass that has no room asks what it could link, and ends: no manifest that it asked
// stays open, however often a daemon tries.
func TestAPassWithoutRoomClosesManifests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mirror")
	mountAt(t, dir)
	x := same("x", "the same in both versions\n")
	r := newRig(t, rigOptions{site: newSite(t, nil, versions([]lookalike.GeneratedFile{x}, []lookalike.GeneratedFile{x, file("big", 20*mega)})), dir: dir})
	r.pull()
	for range 3 {
		if _, err := r.run(t.Context(), demo2, new(progress.Progress)); !errors.Is(err, failure.ErrNoSpace) {
			t.Fatalf("Pull = %v, want ErrNoSpace", err)
		}
	}
	open, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	for _, fd := range open {
		if name, err := os.Readlink(fd); err == nil && strings.HasPrefix(name, filepath.Join(dir, store.Dir, "manifests")+"/") {
			t.Errorf("%s is still open", name)
		}
	}
}

// A mirror on overlayfs, whose layers are on two disks, as in a container: a file of the
// lower one has another device, and is the mirror's own all the same.
func TestAMirrorOnTwoLayers(t *testing.T) {
	base := t.TempDir()
	lower, upper, dir := filepath.Join(base, "lower"), filepath.Join(base, "upper"), filepath.Join(base, "mirror")
	mountAt(t, lower)
	mountAt(t, upper)
	a, b, c := file("a", 1000), file("d/b", 2000), file("d/c", 3000)
	s := newSite(t, nil, project(a, b, c))
	below := newRig(t, rigOptions{site: s, dir: filepath.Join(lower, "mirror")})
	below.pull("a", "d/b")
	below.close()
	must(t, os.RemoveAll(filepath.Join(lower, "mirror", store.Dir)))
	for _, name := range []string{"up", "work"} {
		must(t, os.Mkdir(filepath.Join(upper, name), 0o700))
	}
	must(t, os.Mkdir(dir, 0o700))
	layers := "lowerdir=" + filepath.Join(lower, "mirror") + ",upperdir=" + filepath.Join(upper, "up") + ",workdir=" + filepath.Join(upper, "work")
	if err := syscall.Mount("overlay", dir, "overlay", 0, layers); err != nil {
		t.Skipf("cannot mount layers here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	s.Reset()

	r := newRig(t, rigOptions{site: s, dir: dir})
	must(t, r.syncer.Adopt(t.Context(), demo))
	if v := r.verify(); v.Verified != 2 || v.Failed() != 0 {
		t.Errorf("verification = %+v, want the 2 of the lower layer right", v)
	}
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 3, Present: 2, Fetched: 1})
	must(t, os.WriteFile(r.path("d/b"), []byte("rotten"), 0o600))
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 3, Present: 2, Fetched: 1})
	r.has(a, b, c)
}
