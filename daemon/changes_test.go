package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A hook reads what changed since the last complete pass: passes that were interrupted add
// to the list, and the first change after a complete one begins it again. Verifications in
// between change neither.
func TestChangesSinceTheLastCompletePass(t *testing.T) {
	t.Parallel()
	mirror := t.TempDir()
	place, err := store.Locate(mirror, "")
	must(t, err)
	state, err := store.Open(place, "test")
	must(t, err)
	defer func() { must(t, state.Close()) }()
	demo := ref(t, "demo@1.0")
	changes := daemon.Changes{Mirror: mirror, Store: state}
	add := func(path string) {
		t.Helper()
		must(t, changes.Note(demo, []report.Change{{Kind: report.Added, Path: path, Digest: manifest.Digest{1}}}))
	}
	want := func(paths ...string) {
		t.Helper()
		text, err := os.ReadFile(daemon.ChangesFile(mirror, demo))
		must(t, err)
		var got []string
		for line := range strings.Lines(string(text)) {
			kind, rest, _ := strings.Cut(strings.TrimSpace(line), "\t")
			digest, path, _ := strings.Cut(rest, "\t")
			if kind != "added" || digest != (manifest.Digest{1}).String() {
				t.Errorf("line %q", line)
			}
			got = append(got, path)
		}
		if strings.Join(got, " ") != strings.Join(paths, " ") {
			t.Errorf("the list has %q, want %q", got, paths)
		}
	}
	ended := func(kind daemon.Kind, s store.State) {
		t.Helper()
		must(t, state.AddPass(demo, store.Pass{Kind: string(kind), Start: time.Now(), State: s}))
		time.Sleep(10 * time.Millisecond) // the file system's clock is coarser
	}
	add("a")
	ended(daemon.RefreshPass, store.Interrupted)
	add("b")
	want("demo/1.0/a", "demo/1.0/b")
	time.Sleep(10 * time.Millisecond)
	ended(daemon.ScrubPass, store.Complete) // it says nothing about what was fetched
	add("c")
	want("demo/1.0/a", "demo/1.0/b", "demo/1.0/c")
	time.Sleep(10 * time.Millisecond)
	ended(daemon.RefreshPass, store.Complete)
	want("demo/1.0/a", "demo/1.0/b", "demo/1.0/c") // a hook may be reading it
	time.Sleep(10 * time.Millisecond)
	ended(daemon.ScrubPass, store.Incomplete)
	add("d")
	add("e")
	want("demo/1.0/d", "demo/1.0/e")
	if fi, err := os.Stat(filepath.Dir(daemon.ChangesFile(mirror, demo))); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v, want it for its owner alone", fi, err)
	}
}
