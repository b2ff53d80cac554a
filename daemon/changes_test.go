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
// to the list, and the first change after a complete one begins it again.
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
	ended := func(s store.State) {
		t.Helper()
		must(t, state.AddPass(demo, store.Pass{Start: time.Now(), State: s}))
		time.Sleep(10 * time.Millisecond) // the file system's clock is coarser
	}
	add("a")
	ended(store.Interrupted)
	add("b")
	want("demo/1.0/a", "demo/1.0/b")
	time.Sleep(10 * time.Millisecond)
	ended(store.Complete)
	want("demo/1.0/a", "demo/1.0/b") // a hook may be reading it
	add("c")
	add("d")
	want("demo/1.0/c", "demo/1.0/d")
	if fi, err := os.Stat(filepath.Dir(daemon.ChangesFile(mirror, demo))); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v, want it for its owner alone", fi, err)
	}
}
