package downloader_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mimicsync/downloader"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

var demo3 = manifest.Ref{Dataset: "demo", Version: "3.0"}

// loseManifest removes the kept copy of a version's manifest, and with shown also
// that in its folder.
func (r *rig) loseManifest(ref manifest.Ref, shown bool) {
	r.t.Helper()
	v, _, err := r.store.Version(ref)
	must(r.t, err)
	must(r.t, os.Remove(filepath.Join(r.dir, store.Dir, "manifests", v.Manifest.Digest.String())))
	if shown {
		must(r.t, os.Remove(filepath.Join(r.dir, ref.Dataset, ref.Version, manifest.Name)))
	}
}

// The newest complete version stays when its manifest has lost one of its names.
func TestPruneKeepsACompleteVersionWhoseKeptManifestIsLost(t *testing.T) {
	t.Parallel()
	files := func(n string) []lookalike.GeneratedFile {
		return []lookalike.GeneratedFile{same("a", "a"+n), same("x", "x"+n)}
	}
	s := newSite(t, nil, versions(files("1"), files("2"), files("3")))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	_, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	onlyA, err := manifest.NewSelection([]string{"a"}, nil)
	must(t, err)
	_, err = r.syncer.Pull(t.Context(), demo3, onlyA, new(progress.Progress))
	must(t, err)
	r.loseManifest(demo2, false)
	if got := r.prunable(manifest.Ref{}, 0); !slices.Equal(got, []manifest.Ref{demo}) {
		t.Errorf("Prunable = %v, want only %v", got, demo)
	}
}

// What a version reaches through a symlink is another's: it is not complete by it.
func TestPruneKeepsWhatANewerVersionReachesThroughASymlink(t *testing.T) {
	t.Parallel()
	files := []lookalike.GeneratedFile{same("d/x", "x"), same("d/y", "y")}
	s := newSite(t, nil, versions(files, append(files, same("new", "new"))))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	must(t, os.MkdirAll(filepath.Join(r.dir, "demo/2.0"), 0o700))
	must(t, os.Symlink("../1.0/d", filepath.Join(r.dir, "demo/2.0/d")))
	_, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	_, err = r.syncer.Verify(t.Context(), demo2, selectAll, new(progress.Progress))
	must(t, err)
	if got := r.prunable(manifest.Ref{}, 0); len(got) > 0 {
		t.Errorf("Prunable = %v, want none", got)
	}
}

// A file that a verification found wrong comes back by none of its names, also
// not by that of a version whose manifest was gone when it was found.
func TestAWrongFileDoesNotComeBackWithALostManifest(t *testing.T) {
	t.Parallel()
	both := same("a", "the same in both versions\n")
	s := newSite(t, nil, versions([]lookalike.GeneratedFile{both}, []lookalike.GeneratedFile{both, same("b", "b")}))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	_, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	r.rot("a")
	r.loseManifest(demo, true)
	if v := r.scrub(demo2, downloader.ScrubOptions{Keep: true}); v.Wrong != 1 {
		t.Fatalf("verification = %+v, want the rotten file found", v)
	}
	r.pull()
	_, err = r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	for _, version := range []string{"1.0", "2.0"} {
		got, err := os.ReadFile(filepath.Join(r.dir, "demo", version, "a"))
		must(t, err)
		if !bytes.Equal(got, both.Data) {
			t.Errorf("a of %s is %q after a complete pull", version, got)
		}
	}
}

// A pull takes the manifest from its other name, too: what has only moved within
// the version is not fetched again.
func TestAPullFindsWhatMovedWithoutItsKeptManifest(t *testing.T) {
	t.Parallel()
	b := same("b", "b")
	s := newSite(t, nil, project(same("old/a", "content of a"), b))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	r.loseManifest(demo, false)
	s.Publish(project(same("new/a", "content of a"), b))
	if got := r.pull().Files; got.Fetched > 0 {
		t.Errorf("files = %+v, want none fetched", got)
	}
}

// A record under a clock that was ahead does not keep a file from being read.
func TestAScrubReadsWhatWasReadInTheFuture(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", 1000), file("b", 1000)))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	r.age(-4 * 365 * 24 * time.Hour)
	r.rot("a")
	if v := r.scrub(demo, downloader.ScrubOptions{Before: time.Now(), Keep: true}); v.Recent != 0 || v.Wrong != 1 {
		t.Errorf("scrub = %+v, want all read, and one wrong", v)
	}
}

// scrubSlowly does something after the first file of a scrub is read, and before
// the second one is.
func (r *rig) scrubSlowly(keep bool, meanwhile func()) *report.Verification {
	r.t.Helper()
	progress, done := new(progress.Progress), make(chan struct{})
	go func() {
		defer close(done)
		for progress.Failed.Load()+progress.Done.Load() < 1 {
			time.Sleep(time.Millisecond)
		}
		meanwhile()
	}()
	v, err := r.syncer.Scrub(r.t.Context(), demo, downloader.ScrubOptions{Rate: 300_000, Keep: keep}, progress)
	<-done
	must(r.t, err)
	return v
}

// What somebody does to files while a scrub runs neither ends it nor is undone.
func TestAScrubLeavesWhatWasReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	a, b := file("a", 1000), file("b", 1_200_000)
	s := newSite(t, nil, project(a, b))
	for _, tt := range []struct {
		name      string
		meanwhile func(r *rig)
		stays     bool
	}{
		{"removed", func(r *rig) { must(t, os.Remove(r.path("a"))) }, false},
		{"replaced", func(r *rig) {
			fresh := filepath.Join(r.dir, "fresh")
			must(t, os.WriteFile(fresh, content(t, a), 0o600))
			must(t, os.Rename(fresh, r.path("a")))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigOptions{site: s})
			r.pull()
			r.rot("a")
			v := r.scrubSlowly(false, func() { tt.meanwhile(r) })
			if _, err := os.Stat(r.path("a")); v.Wrong != 1 || len(v.Quarantined) > 0 || tt.stays != (err == nil) {
				t.Errorf("scrub = %+v; the file: %v", v, err)
			}
		})
	}
	t.Run("removed before its sync", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, rigOptions{site: s, tree: tree.Options{Durability: tree.FileDurability}})
		r.pull("b")
		r.plant("a", content(t, a))
		r.scrubSlowly(true, func() { must(t, os.Remove(r.path("a"))) })
	})
}

// A wrong file that cannot be moved aside keeps the scrub from none of the others.
func TestAScrubGoesOnPastWhatCannotBeMovedAside(t *testing.T) {
	slow(t)
	n := fewer(3000)
	s := newSite(t, nil, project(append(manyFiles(n, 10), file("d/bad", 1000))...))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	r.rot("d/bad")
	aside := filepath.Join(r.dir, store.Dir, "quarantine/demo")
	must(t, os.MkdirAll(aside, 0o700))
	must(t, os.WriteFile(filepath.Join(aside, "1.0"), []byte("x"), 0o600)) // where the version's folder would be
	v := r.scrub(demo, downloader.ScrubOptions{})
	if v.Total != int64(n+1) || v.Wrong != 1 || len(v.Failures) != 2 || len(v.Quarantined) > 0 {
		t.Errorf("scrub = %+v, want all read, and why one stays", v)
	}
}
