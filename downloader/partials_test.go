package downloader_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"mimicsync/downloader/lookalike"
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
// the right one takes its place, as it does where it is renamed.
func TestAFileThatComesInBetweenIsReplaced(t *testing.T) {
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
	if !bytes.Equal(r.read(a.Path), content(t, a)) {
		t.Error("the file is not the right one")
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
