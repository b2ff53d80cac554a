package downloader_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A small file is named once, at its place; a big one waits for its digest under
// the name of that, where a kill leaves it.
func TestASmallFileHasNoNameUntilItsCommit(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("files without a name are Linux's")
	}
	for name, tt := range map[string]struct {
		size  int64
		named int32
	}{"small": {1000, 0}, "big": {1 << 20, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil, project(file("a.csv", tt.size)))
			r := newRig(t, rigOptions{site: s})
			var named atomic.Int32
			r.syncer.SetReached(func(point string) {
				if point == "verified" {
					entries, _ := os.ReadDir(filepath.Join(r.dir, store.Dir, "partial")) // none if it cannot be read
					named.Store(int32(len(entries)))
				}
			})
			wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
			if got := named.Load(); got != tt.named {
				t.Errorf("%d partials have a name when the file is verified, want %d", got, tt.named)
			}
		})
	}
}

// Somebody puts a file under the final name while the right one is on its way:
// the right one takes its place, and that of somebody is in quarantine.
func TestAFileThatComesInBetweenIsMovedAside(t *testing.T) {
	t.Parallel()
	a := file("hosp/a.csv", 1000)
	s := newSite(t, nil, project(a))
	r := newRig(t, rigOptions{site: s})
	var came atomic.Bool
	r.syncer.SetReached(func(point string) {
		if point == "synced" && came.CompareAndSwap(false, true) {
			if err := os.WriteFile(r.path(a.Path), []byte("somebody else's"), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	report := r.pull()
	r.syncer.SetReached(nil)
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(a)
	if len(report.Quarantined) != 1 || report.Quarantined[0].Path != a.Path {
		t.Fatalf("quarantined = %+v, want one for %s", report.Quarantined, a.Path)
	}
	if b, err := os.ReadFile(filepath.Join(r.dir, report.Quarantined[0].To)); err != nil || string(b) != "somebody else's" {
		t.Errorf("in quarantine is %q, %v, want somebody else's", b, err)
	}
}

// What was verified outlives a disk that fails in the commit.
func TestAVerifiedFileThatCannotBeCommittedIsKept(t *testing.T) {
	t.Parallel()
	files := []lookalike.GeneratedFile{file("hosp/a.csv", 1000), file("b.csv", 1000)}
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s})
	var came atomic.Bool
	r.syncer.SetReached(func(point string) {
		if point == "synced" && came.CompareAndSwap(false, true) { // a folder stands where the file should be
			if err := os.MkdirAll(r.path("hosp/a.csv/x"), 0o700); err != nil {
				t.Error(err)
			}
		}
	})
	report := r.pull()
	r.syncer.SetReached(nil)
	wantFiles(t, report, store.Incomplete, store.Files{Total: 2, Fetched: 1, Failed: 1})
	if err := os.RemoveAll(r.path("hosp/a.csv")); err != nil {
		t.Fatal(err)
	}
	s.Reset()
	r.reopen()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 1, Fetched: 1})
	if n := s.Counters().Files; n != 0 {
		t.Errorf("%d files were asked for again, want none: it was verified", n)
	}
}

// A disk that takes its time for a sync holds up the commit. What has been verified
// meanwhile gets a name within some two seconds, and a kill does not cost it.
func TestASlowDiskKeepsNothingNameless(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("files without a name are Linux's")
	}
	slow(t)
	files := manyFiles(100, 100)
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s})
	var named int
	var once sync.Once
	r.syncer.SetReached(func(point string) {
		if point != "synced" {
			return
		}
		once.Do(func() { // the sync has yet to end
			deadline := time.Now().Add(20 * time.Second) // two, and what a busy machine adds
			for ; named < len(files) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				entries, _ := os.ReadDir(filepath.Join(r.dir, store.Dir, "partial")) // none if it cannot be read
				named = len(entries)
			}
		})
	})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 100, Fetched: 100})
	if named != len(files) {
		t.Errorf("%d of %d verified files had a name while the sync went on", named, len(files))
	}
	r.has(files...)
}

// Files without a name are open: however many passes wait for a slow disk, it is
// two batches of them that wait in this way, and not two of each pass.
func TestPassesShareTheNamelessFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("files without a name are Linux's")
	}
	if testing.Short() {
		t.Skip("counts the open files, so that nothing else may run")
	}
	var second []lookalike.GeneratedFile
	for i := range 1200 {
		second = append(second, file(fmt.Sprintf("other/%04d.csv", i), 10))
	}
	s := newSite(t, nil, versions(manyFiles(1200, 10), second))
	r := newRig(t, rigOptions{site: s})
	before := openFiles(t)
	var most, syncs atomic.Int64
	release := make(chan struct{})
	r.syncer.SetReached(func(point string) {
		if point == "synced" {
			syncs.Add(1)
			<-release
		}
	})
	go func() { // until all that can come has
		defer close(release)
		for last, quiet := int64(-1), 0; quiet < 20; time.Sleep(20 * time.Millisecond) {
			fetched := s.Counters().Files
			if quiet++; fetched != last || syncs.Load() < 2 {
				last, quiet = fetched, 0
			}
		}
		most.Store(int64(openFiles(t)))
	}()
	var wg sync.WaitGroup
	for _, ref := range []manifest.Ref{demo, demo2} {
		wg.Go(func() {
			report, err := r.run(t.Context(), ref, new(progress.Progress))
			if err != nil || report.Files.Fetched != 1200 {
				t.Errorf("%v: %+v, %v", ref, report, err)
			}
		})
	}
	wg.Wait()
	if n := most.Load() - int64(before); n < 800 || n > 1024+100 {
		t.Errorf("%d files were open while the disk was slow, want two batches and a few", n)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Error(err)
	}
	return len(entries)
}

// The state file was lost while another dataset's file was half there. A pass that
// completes its own dataset cannot tell whose it is: it stays for the other's, but
// not for years.
func TestALostStateKeepsThePartialsOfAllDatasets(t *testing.T) {
	t.Parallel()
	big := file("big", 4*mega)
	mine, theirs := project(file("a", 1000)), project(big)
	theirs.Slug = "other"
	s := newSite(t, nil, mine, theirs)
	r := newRig(t, rigOptions{site: s})
	begin := func(f lookalike.GeneratedFile) (name string) {
		b := content(t, f)
		name = filepath.Join(r.dir, store.Dir, "partial", manifest.Digest(sha256.Sum256(b)).String())
		must(t, os.WriteFile(name, b[:f.Size*3/4], 0o600))
		return name
	}
	begin(big)
	abandoned := begin(file("nobody's", 1000))
	r.reopen()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	progress := new(progress.Progress)
	report, err := r.run(t.Context(), manifest.Ref{Dataset: "other", Version: "1.0"}, progress)
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	if got := progress.Fetched.Load(); got != mega {
		t.Errorf("%d bytes were fetched of %d, want the last quarter", got, big.Size)
	}

	left, err := r.store.Partials()
	must(t, err)
	if len(left) != 1 {
		t.Fatalf("partials = %+v, want nobody's", left)
	}
	left[0].Updated = left[0].Updated.AddDate(0, 0, -31)
	must(t, r.store.PutPartials(left...))
	r.reopen()
	r.pull()
	if _, err := os.Stat(abandoned); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what nobody asked for in a month is there yet (%v)", err)
	}
}
