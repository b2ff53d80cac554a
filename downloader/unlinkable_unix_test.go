//go:build unix

package downloader_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// unlinkable makes a file one that can be read and has no second name.
func unlinkable(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.Command("chattr", "+i", name).CombinedOutput(); err != nil {
		t.Skipf("cannot forbid links to a file here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("chattr", "-i", name).CombinedOutput(); err != nil {
			t.Errorf("chattr -i %s: %v: %s", name, err, out)
		}
	})
}

// Where the kept manifest cannot be linked, its copy in the version's folder is
// shared like the rest.
func TestACopiedManifestBelongsToTheGroup(t *testing.T) {
	old := syscall.Umask(0o077) // of all tests: this one does not run beside others
	t.Cleanup(func() { syscall.Umask(old) })
	group := anotherGroup(t)
	s := newSite(t, nil, project(file("a", 100)))
	r := newRig(t, rigOptions{site: s, tree: tree.Options{FileMode: 0o640, DirMode: 0o750, Group: group}})
	r.pull()
	kept, err := filepath.Glob(filepath.Join(r.dir, store.Dir, "manifests", "*"))
	must(t, err)
	must(t, os.Remove(r.path(manifest.Name)))
	unlinkable(t, kept[0])
	r.pull()
	fi, err := os.Stat(r.path(manifest.Name))
	must(t, err)
	if gid := int(fi.Sys().(*syscall.Stat_t).Gid); fi.Mode().Perm() != 0o640 || gid != group {
		t.Errorf("%s has %v of group %d, want 0640 of %d", manifest.Name, fi.Mode(), gid, group)
	}
}

// twins is a mirror of two versions with the same only file x, of which the first
// is here.
func twins(t *testing.T, data string) (*rig, *site) {
	t.Helper()
	x := []lookalike.GeneratedFile{same("x", data)}
	s := newSite(t, nil, versions(x, x))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	s.Reset()
	return r, s
}

// Another tool left a wrong file where a twin is to be copied to. It is moved aside,
// as it is where the right one is fetched.
func TestACopyLeavesAWrongFileWhole(t *testing.T) {
	t.Parallel()
	r, _ := twins(t, "right, and long enough to be something\n")
	unlinkable(t, r.path("x"))
	name := filepath.Join("demo", "2.0", "x")
	must(t, os.MkdirAll(filepath.Join(r.dir, "demo", "2.0"), 0o755))
	must(t, os.WriteFile(filepath.Join(r.dir, name), []byte("somebody's only copy"), 0o600))

	report, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Linked: 1})
	aside, err := os.ReadFile(filepath.Join(r.dir, store.Dir, "quarantine", name))
	if err != nil || string(aside) != "somebody's only copy" {
		t.Errorf("in quarantine is %q, %v, want what was there", aside, err)
	}
	if len(report.Quarantined) != 1 {
		t.Errorf("quarantined %v, want the wrong file", report.Quarantined)
	}
	if partials, err := r.store.Partials(); err != nil || len(partials) > 0 {
		t.Errorf("partials = %+v, %v, want none", partials, err)
	}
}

// The twin is rotten, which shows when it has been copied. What had come of the
// file from its source is still there.
func TestACopyThatFailsLeavesThePartial(t *testing.T) {
	slow(t)
	data := content(t, file("x", 2*mega))
	r, s := twins(t, string(data))
	r.rot("x")
	unlinkable(t, r.path("x"))
	d := manifest.Digest(sha256.Sum256(data))
	must(t, os.WriteFile(filepath.Join(r.dir, store.Dir, "partial", d.String()), data[:mega], 0o600))
	r.reopen()

	report, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	if got := s.Counters().BytesSent; got > mega+128<<10 {
		t.Errorf("%d bytes were sent, want the second half of the file", got)
	}
	must(t, exec.Command("chattr", "-i", r.path("x")).Run())
	must(t, os.WriteFile(r.path("x"), data, 0o600)) // what holds for every mirror shall hold for this one
}

// A hundred equal files, where the file that the mirror has of them takes no second
// name. All are copied at once: a commit each would take 2 seconds a file.
func TestAHundredCopiesDoNotWaitForEachOther(t *testing.T) {
	slow(t)
	const data = "the same in all of them\n"
	var all []lookalike.GeneratedFile
	for i := range 100 {
		all = append(all, same(fmt.Sprintf("d/%03d", i), data))
	}
	s := newSite(t, nil, versions([]lookalike.GeneratedFile{same("x", data)}, all))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	unlinkable(t, r.path("x"))
	var commits atomic.Int64
	r.syncer.SetReached(func(point string) {
		if point == "recorded" {
			commits.Add(1)
		}
	})
	s.Reset()

	report, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 100, Linked: 100})
	if got := commits.Load(); got > 20 {
		t.Errorf("100 copies took %d commits, want a few", got)
	}
	if left := r.unfinished(); len(left) > 0 {
		t.Errorf("in the folder of unfinished files are %v, want none", left)
	}
}

// A copy whose place is taken by a folder is dropped: its bytes are in the mirror.
func TestACopyWithoutAPlaceIsDropped(t *testing.T) {
	t.Parallel()
	r, s := twins(t, "as good as another\n")
	unlinkable(t, r.path("x"))
	r.syncer.SetReached(func(point string) {
		if point == "synced" { // the copy is verified, and has yet to get its name
			must(t, os.MkdirAll(filepath.Join(r.dir, "demo", "2.0", "x"), 0o700))
		}
	})
	report, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Incomplete, store.Files{Total: 1, Failed: 1})
	if left := r.unfinished(); len(left) > 0 {
		t.Errorf("in the folder of unfinished files are %v, want none", left)
	}
	if got := s.Counters().Files; got != 0 {
		t.Errorf("%d files were asked for, want none", got)
	}
}

// unfinished are the names in the mirror's folder of unfinished files.
func (r *rig) unfinished() (all []string) {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, store.Dir, "partial"))
	must(r.t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}
