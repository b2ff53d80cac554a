package downloader_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mimicsync/downloader"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

func (r *rig) scrub(ref manifest.Ref, o downloader.ScrubOptions) *report.Verification {
	r.t.Helper()
	v, err := r.syncer.Scrub(r.t.Context(), ref, o, new(progress.Progress))
	must(r.t, err)
	return v
}

// rot flips a bit of a file of demo@1.0 as a disk does, which does not tell.
func (r *rig) rot(name string) []byte {
	r.t.Helper()
	fi, err := os.Stat(r.path(name))
	must(r.t, err)
	b := r.read(name)
	b[len(b)/2] ^= 1
	must(r.t, os.WriteFile(r.path(name), b, 0o600))
	must(r.t, os.Chtimes(r.path(name), time.Time{}, fi.ModTime()))
	return b
}

// age makes the records of demo@1.0 say that its files were verified long ago.
func (r *rig) age(by time.Duration) {
	r.t.Helper()
	v, _, err := r.store.Version(demo)
	must(r.t, err)
	manifestFile, err := os.Open(r.path(manifest.Name))
	must(r.t, err)
	defer func() { must(r.t, manifestFile.Close()) }()
	records, err := r.store.Records(v.ID, 0, 1<<30, nil)
	must(r.t, err)
	older := store.Batch{ID: v.ID}
	for _, at := range records {
		e, err := manifest.EntryAt(manifestFile, at.Offset)
		must(r.t, err)
		at.Record.Verified = at.Record.Verified.Add(-by)
		older.Put = append(older.Put, store.Verified{Offset: at.Offset, Digest: e.Digest, Record: at.Record})
	}
	must(r.t, r.store.Commit(older))
}

// What rotted is moved aside, where a person can look at it, after the store has
// ceased to claim it; the next pass fetches it.
func TestScrubMovesRottenFilesAside(t *testing.T) {
	t.Parallel()
	bad, fine, begun := file("d/bad", 5000), file("fine", 5000), file("begun", 5000)
	s := newSite(t, nil, project(bad, fine, begun))
	r := newRig(t, rigOptions{site: s})
	r.pull("d/bad", "fine")
	rotten := r.rot("d/bad")
	r.plant("begun", content(t, begun)[:3000]) // what an interrupted wget left is no rot
	before, _, err := r.store.Version(demo)
	must(t, err)
	r.syncer.SetReached(func(string) {
		if n, _, err := r.store.Totals(before.ID); err != nil || n != 1 {
			t.Errorf("%d files are recorded before the wrong one is moved (%v), want 1", n, err)
		}
		if !bytes.Equal(r.read("d/bad"), rotten) {
			t.Error("the wrong file was moved before its record was dropped")
		}
	})

	v := r.scrub(demo, downloader.ScrubOptions{})
	if v.Total != 3 || v.Verified != 1 || v.Wrong != 2 || len(v.Failures) != 2 {
		t.Errorf("verification = %+v, want 1 right and 2 wrong", v)
	}
	want := report.Quarantined{Path: "d/bad", To: ".mimicsync/quarantine/demo/1.0/d/bad"}
	if len(v.Quarantined) != 1 || v.Quarantined[0] != want {
		t.Errorf("quarantined = %+v, want %+v", v.Quarantined, want)
	}
	if !bytes.Equal(r.quarantined("d/bad"), rotten) {
		t.Error("what is in quarantine is not what was found")
	}
	r.lacks("d/bad")

	r.syncer.SetReached(nil)
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 3, Present: 1, Fetched: 2})
	r.has(bad, fine, begun)
}

// A file that rotted has rotted under all its names: the other version must not
// give it back.
func TestARottenFileIsNotLinkedFromItsTwin(t *testing.T) {
	t.Parallel()
	both := same("a", "the same in both versions\n")
	s := newSite(t, nil, versions([]lookalike.GeneratedFile{both}, []lookalike.GeneratedFile{both, same("b", "b")}))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	_, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	r.rot("a")

	r.scrub(demo, downloader.ScrubOptions{})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(both)
	report, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 2, Present: 1, Linked: 1})
	twin, err := os.ReadFile(filepath.Join(r.dir, "demo", "2.0", "a"))
	must(t, err)
	if string(twin) != string(both.Data) {
		t.Errorf("a of 2.0 is %q, want it mended", twin)
	}
}

// However many they are: a pass looks at some places of a digest, and a verification
// at all.
func TestARottenFileOfManyNamesIsWrongUnderAll(t *testing.T) {
	slow(t)
	one := same("a", "the same everywhere\n")
	all := []lookalike.GeneratedFile{one}
	for i := range 40 {
		all = append(all, same(fmt.Sprintf("z%02d", i), string(one.Data)))
	}
	s := newSite(t, nil, versions(all, []lookalike.GeneratedFile{one}))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	_, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	r.rot("a")

	_, err = r.syncer.Scrub(t.Context(), demo2, downloader.ScrubOptions{}, new(progress.Progress))
	must(t, err)
	r.checkTree()
	report, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	r.pull()
	r.has(all...)
}

// A cycle that is interrupted goes on: what was read in it is not read again.
func TestScrubGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(manyFiles(10, 100_000)...))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	r.age(24 * time.Hour)
	cycle := time.Now().Add(-time.Hour)

	// A byte a second, but for a burst of 256 KiB: two files come through.
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	progress := new(progress.Progress)
	go func() {
		for progress.Done.Load() < 2 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel(failure.ErrInterrupted)
	}()
	v, err := r.syncer.Scrub(ctx, demo, downloader.ScrubOptions{Rate: 1, Before: cycle}, progress)
	if !errors.Is(err, failure.ErrInterrupted) || v.Verified != 2 {
		t.Errorf("Scrub = %+v, %v, want 2 files read and %v", v, err, failure.ErrInterrupted)
	}

	r.reopen()
	v = r.scrub(demo, downloader.ScrubOptions{Before: cycle})
	if v.Total != 10 || v.Recent != 2 || v.Verified != 8 || v.Bytes != 800_000 {
		t.Errorf("verification = %+v, want 8 files read and 2 not again", v)
	}
	if v = r.scrub(demo, downloader.ScrubOptions{Before: cycle}); v.Recent != 10 {
		t.Errorf("verification = %+v, want nothing left to read", v)
	}
	if v = r.scrub(demo, downloader.ScrubOptions{}); v.Verified != 10 {
		t.Errorf("verification = %+v, want all read", v)
	}
}

// A file that changed since is read, however lately it was verified.
func TestScrubReadsWhatChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", 1000), file("b", 1000)))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	r.plant("a", []byte("edited"))
	v := r.scrub(demo, downloader.ScrubOptions{Before: time.Now().Add(-time.Hour), Keep: true})
	if v.Recent != 1 || v.Wrong != 1 || len(v.Quarantined) != 0 || string(r.read("a")) != "edited" {
		t.Errorf("verification = %+v, want the edited file found wrong, and left where it is", v)
	}
}

func TestScrubKeepsToItsRate(t *testing.T) {
	slow(t)
	s := newSite(t, nil, project(manyFiles(12, 100_000)...))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	// 1.2 MB at 1 MB a second, but for a burst of 256 KiB.
	if v := r.scrub(demo, downloader.ScrubOptions{Rate: 1_000_000}); v.Verified != 12 || v.Elapsed < 900*time.Millisecond {
		t.Errorf("verification = %+v, want 12 files in about a second", v)
	}
}
