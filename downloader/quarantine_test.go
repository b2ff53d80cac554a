package downloader_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// What was moved aside is removed with its folders, for the version that is named
// or for all, and what a link there points to stays.
func TestQuarantineIsEmptied(t *testing.T) {
	r := newRig(t, rigOptions{site: newSite(t, nil, project(file("a", 1000)))})
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "own"), []byte("mine"), 0o600))
	aside := filepath.Join(r.dir, store.Dir, "quarantine")
	for _, name := range []string{"demo/1.0/f/x", "demo/1.0/y", "demo/2.0/z"} {
		must(t, os.MkdirAll(filepath.Join(aside, filepath.Dir(name)), 0o700))
		must(t, os.WriteFile(filepath.Join(aside, name), make([]byte, 1000), 0o600))
	}
	must(t, os.Symlink(outside, filepath.Join(aside, "demo", "1.0", "link")))
	link := int64(len(outside))

	for _, step := range []struct {
		ref  manifest.Ref
		want tree.Quarantine
	}{
		{manifest.Ref{Dataset: "other"}, tree.Quarantine{}},
		{demo2, tree.Quarantine{Files: 1, Bytes: 1000}},
		{manifest.Ref{}, tree.Quarantine{Files: 3, Bytes: 2000 + link}},
		{manifest.Ref{}, tree.Quarantine{}},
	} {
		if got, err := tree.QuarantineOf(r.dir, step.ref); got != step.want || err != nil {
			t.Errorf("QuarantineOf(%v) = %+v, %v, want %+v", step.ref, got, err, step.want)
		}
		if got, err := tree.EmptyQuarantine(t.Context(), r.dir, step.ref); got != step.want || err != nil {
			t.Errorf("EmptyQuarantine(%v) = %+v, %v, want %+v", step.ref, got, err, step.want)
		}
	}
	if left, err := os.ReadDir(aside); err != nil || len(left) > 0 {
		t.Errorf("quarantine has %v (%v), want nothing", left, err)
	}
	if b, err := os.ReadFile(filepath.Join(outside, "own")); err != nil || string(b) != "mine" {
		t.Errorf("the file behind a link = %q, %v, want it as it was", b, err)
	}
	if got, err := tree.QuarantineOf(t.TempDir(), manifest.Ref{}); got != (tree.Quarantine{}) || err != nil {
		t.Errorf("QuarantineOf a folder that is no mirror = %+v, %v, want none", got, err)
	}
}

// Somebody empties quarantine again and again while a pass moves file after file
// aside, each in a folder of its own: that stops neither of them.
func TestQuarantineIsEmptiedBesideAPass(t *testing.T) {
	slow(t)
	const n = 200
	var files []lookalike.GeneratedFile
	for i := range n {
		files = append(files, file(fmt.Sprintf("p%03d/a.csv", i), 1000))
	}
	r := newRig(t, rigOptions{site: newSite(t, nil, project(files...))})
	for _, f := range files {
		r.plant(f.Path, []byte("no such bytes"))
	}
	over, emptied := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			if _, err := tree.EmptyQuarantine(t.Context(), r.dir, manifest.Ref{}); err != nil {
				emptied <- err
				return
			}
			select {
			case <-over:
				emptied <- nil
				return
			default:
			}
		}
	}()
	report := r.pull()
	close(over)
	must(t, <-emptied)
	wantFiles(t, report, store.Complete, store.Files{Total: n, Fetched: n})
	r.has(files...)
}

// Names as long as the disk takes, of files and of folders, go to quarantine as often
// as need be; so does a file in a folder that was a file when it was moved there.
func TestQuarantineTakesEveryNameAgain(t *testing.T) {
	t.Parallel()
	ascii, wide := strings.Repeat("n", 255), strings.Repeat("é", 127)
	names := []string{ascii, wide, "d/" + wide + "/" + ascii, "short"}
	var files []lookalike.GeneratedFile
	for _, name := range names {
		files = append(files, file(name, 1000))
	}
	r := newRig(t, rigOptions{site: newSite(t, nil, project(files...))})
	aside := filepath.Join(r.dir, store.Dir, "quarantine", "demo", "1.0")
	must(t, os.MkdirAll(filepath.Join(aside, "d"), 0o700))
	must(t, os.WriteFile(filepath.Join(aside, "d", wide), []byte("it was a file"), 0o600))
	r.pull()
	for range 12 { // to numbers of two digits
		for _, name := range names {
			must(t, os.WriteFile(r.path(name), nil, 0o600)) // empty: not taken for the start of the right one
		}
		report := r.pull()
		wantFiles(t, report, store.Complete, store.Files{Total: 4, Fetched: 4})
		for _, q := range report.Quarantined {
			if _, err := os.Lstat(filepath.Join(r.dir, q.To)); err != nil {
				t.Errorf("%.20s... is in quarantine as %v", q.Path, err)
			}
		}
	}
	if got, err := tree.QuarantineOf(r.dir, demo); got.Files != 4*12+1 || err != nil {
		t.Errorf("quarantine has %d files, %v, want 12 of each and the one from before", got.Files, err)
	}
}
