package downloader_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/source"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Whatever comes in place of a manifest, the one in force stays, with all
// records: the next good pass fetches nothing.
func TestABadManifestChangesNothing(t *testing.T) {
	a, b := file("a", 1000), file("b", 2000)
	good := sums(a, b)
	bad := func(text string) func(*site) {
		return func(s *site) { s.Publish(handmade(text, a, b)) }
	}
	for _, tt := range []struct {
		name  string
		spoil func(*site)
	}{
		{"missing", func(s *site) {
			s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusNotFound, Path: "SHA256SUMS.txt"})
		}},
		{"empty", bad("\n")},
		{"half a line, no newline", bad(good + good[:30])},
		{"half a path-less line", bad(good + good[:64])},
		{"a web page", func(s *site) { s.Inject(lookalike.Fault{Kind: lookalike.HTMLPage, Path: "SHA256SUMS.txt"}) }},
		{"a web page as text", bad("<!DOCTYPE html>\n<html></html>\n")},
		{"a line of garbage", bad(good + "Service temporarily unavailable\n")},
		{"garbage first", bad("garbage\n" + good)},
		{"MD5 sums", bad("d41d8cd98f00b204e9800998ecf8427e  a\n")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil, project(a, b))
			r := newRig(t, rigOptions{site: s})
			r.pull()
			before, _, err := r.store.Version(demo)
			must(t, err)
			tt.spoil(s)

			report, err := r.tryPull(t.Context())
			if !errors.Is(err, failure.ErrManifest) && !errors.Is(err, source.ErrWebPage) || report.State != store.Failed {
				t.Errorf("Pull = %+v, %v, want failed with %v", report, err, failure.ErrManifest)
			}
			after, _, err := r.store.Version(demo)
			must(t, err)
			if after.Manifest.Digest != before.Manifest.Digest || after.ID != before.ID {
				t.Errorf("version = %+v, want it as before: %+v", after, before)
			}
			if got := string(r.read("SHA256SUMS.txt")); got != good {
				t.Errorf("SHA256SUMS.txt in the mirror is now %q", got)
			}
			r.has(a, b)

			s.ClearFaults()
			s.Publish(project(a, b))
			r.reopen()
			s.Reset()
			wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 2})
			if got := s.Counters().Files; got != 0 {
				t.Errorf("the next good pass fetched %d files, want none", got)
			}
		})
	}
}

// A first pass with a bad manifest says so and leaves nothing behind.
func TestABadFirstManifest(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, handmade("nothing of the kind\n", file("a", 10)))
	r := newRig(t, rigOptions{site: s})
	if _, err := r.tryPull(t.Context()); !errors.Is(err, failure.ErrManifest) {
		t.Errorf("Pull = %v, want %v", err, failure.ErrManifest)
	}
	r.lacks("SHA256SUMS.txt", "a")
}

// The manifest came short by a broken connection: it is asked for again.
func TestABrokenManifestIsAskedForAgain(t *testing.T) {
	slow(t)
	for _, kind := range []lookalike.Kind{lookalike.ShortBody, lookalike.Reset} {
		s := newSite(t, nil, project(file("a", 10), file("b", 10)))
		s.Inject(lookalike.Fault{Kind: kind, Path: "SHA256SUMS.txt", After: 60, Times: 1})
		r := newRig(t, rigOptions{site: s})
		wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Fetched: 2})
	}
}

// A last line without its newline is complete as far as anybody can tell.
func TestAManifestWithoutTheLastNewline(t *testing.T) {
	t.Parallel()
	a := file("a", 10)
	s := newSite(t, nil, handmade(strings.TrimSuffix(sums(a), "\n"), a))
	r := newRig(t, rigOptions{site: s})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
}

// PhysioNet corrects a published version in place: what did not change is taken
// over by its record, without a request and without being read.
func TestAManifestThatChangedInPlace(t *testing.T) {
	t.Parallel()
	kept := manyFiles(20, 3000)
	s := newSite(t, nil, project(append(kept, same("changed", "old"), same("dropped", "x"))...))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	before, _, err := r.store.Version(demo)
	must(t, err)
	must(t, os.Remove(r.path("changed"))) // so that nothing at all has to be read

	now := append(kept, same("changed", "new"), same("added", "y"))
	s.Publish(project(now...))
	s.Reset()
	progress := new(progress.Progress)
	report, err := r.run(t.Context(), demo, progress)
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 22, Present: 20, Fetched: 2})
	if got := progress.Examined.Load(); got != 0 {
		t.Errorf("%d bytes were read to see whether they are right, and the records say so", got)
	}
	if got := s.Counters().Files; got != 2 {
		t.Errorf("%d files were fetched, want 2", got)
	}
	r.has(now...)
	after, _, err := r.store.Version(demo)
	must(t, err)
	if len(after.Former) != 0 {
		t.Errorf("former manifests %v, want none after a complete pass", after.Former)
	}
	if n, _, err := r.store.Totals(before.ID); err != nil || n != 0 {
		t.Errorf("%d records of the former manifest are left (%v)", n, err)
	}
	if string(r.read("dropped")) != "x" {
		t.Error("a file that the manifest no longer names was touched")
	}
}

// The changed file itself is read, found wrong, and replaced.
func TestAChangedFileIsReplaced(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(same("a", "the former content"), file("b", 1000)))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	s.Publish(project(same("a", "the new content"), file("b", 1000)))
	progress := new(progress.Progress)
	report, err := r.run(t.Context(), demo, progress)
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 2, Present: 1, Fetched: 1})
	if got := progress.Examined.Load(); got != int64(len("the former content")) {
		t.Errorf("%d bytes were read, want those of the changed file alone", got)
	}
	r.has(same("a", "the new content"))
}

// A correction that is taken back while a pass over it is incomplete.
func TestAManifestThatChangedBack(t *testing.T) {
	t.Parallel()
	files := manyFiles(10, 1000)
	first := project(files...)
	s := newSite(t, nil, first)
	r := newRig(t, rigOptions{site: s})
	r.pull()
	s.Publish(handmade(sums(append(files, file("b", 1000))...), files...)) // b is listed and not there
	wantFiles(t, r.pull(), store.Incomplete, store.Files{Total: 11, Present: 10, Failed: 1})
	s.Publish(first)
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 10, Present: 10})

	if _, err := r.syncer.Verify(t.Context(), demo, selectAll, new(progress.Progress)); err != nil {
		t.Errorf("Verify = %v: the manifest in force is gone", err)
	}
	s.Reset()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 10, Present: 10})
}

// Somebody edited the SHA256SUMS.txt in the mirror: the source's is put back.
func TestAnEditedManifestIsPutBack(t *testing.T) {
	t.Parallel()
	a := file("a", 1000)
	s := newSite(t, nil, project(a))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	for _, edit := range []func(){
		func() { must(t, os.WriteFile(r.path("SHA256SUMS.txt"), []byte("edited\n"), 0o600)) },
		func() { must(t, os.Remove(r.path("SHA256SUMS.txt"))) },
	} {
		edit()
		wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Present: 1})
		if got := string(r.read("SHA256SUMS.txt")); got != sums(a) {
			t.Errorf("SHA256SUMS.txt is %q, want the source's", got)
		}
	}
}

// Another user's selection sees only its entries, and costs nothing for others.
func TestASelectionIsFetchedAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("hosp/a.csv", 100), file("icu/b.csv", 100)))
	r := newRig(t, rigOptions{site: s})
	wantFiles(t, r.pull("hosp/**"), store.Complete, store.Files{Total: 1, Fetched: 1})
	r.lacks("icu/b.csv")
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 1, Fetched: 1})
}

// A server in trouble publishes half a list, and so does one that takes files
// back: what a person has not looked at is not acted on.
func TestAManifestThatShrankIsNotActedOn(t *testing.T) {
	t.Parallel()
	files := manyFiles(20, 1000)
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s})
	r.pull()

	s.Publish(project(files[:17]...))
	report, err := r.tryPull(t.Context())
	var shrunk *failure.ShrunkError
	if !errors.As(err, &shrunk) || *shrunk != (failure.ShrunkError{Ref: demo, Was: 20, Is: 17}) || !errors.Is(err, failure.ErrManifest) {
		t.Errorf("Pull = %v, want that the manifest shrank from 20 to 17", err)
	}
	if report.State != store.Failed || !strings.Contains(err.Error(), "stays in force") {
		t.Errorf("Pull = %v, %v, want failed, and the former manifest in force", report.State, err)
	}
	if v := r.verify(); v.Total != 20 || v.Verified != 20 {
		t.Errorf("verification = %+v, want all 20 of the former manifest", v)
	}

	r.syncer.AcceptManifest(demo)
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 17, Present: 17})
	s.Publish(project(files[:10]...)) // what was accepted is not this
	if _, err := r.tryPull(t.Context()); !errors.As(err, &shrunk) {
		t.Errorf("Pull = %v, want that the manifest shrank again", err)
	}
}

// A tenth less is what corrections look like.
func TestAManifestMayLoseATenth(t *testing.T) {
	t.Parallel()
	files := manyFiles(20, 1000)
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	s.Publish(project(files[:18]...))
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 18, Present: 18})
}

// An author left zeros where a digest belongs. That file is reported, neither fetched
// nor taken for verified, even if it is here; the others come.
func TestADigestOfZerosIsNone(t *testing.T) {
	t.Parallel()
	a, b := file("a", 1000), file("b", 10)
	_, name, _ := strings.Cut(sums(b), " ")
	s := newSite(t, nil, handmade(sums(a)+strings.Repeat("0", 64)+" "+name, a, b))
	r := newRig(t, rigOptions{site: s})
	r.plant("b", content(t, b))

	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 2, Fetched: 1, Failed: 1})
	if got := reasonOf(report, "b"); got != string(failure.ReasonChecksum) {
		t.Errorf("b failed by %q, want checksum: %+v", got, report.Failures)
	}
	s.wantGets(t, "b", 0)
	if v := r.verify(); v.Verified != 1 || v.Failed() != 0 {
		t.Errorf("verification = %+v, want a right, and nothing said of b", v)
	}
	r.has(a)
}

// Windows renames no file that is open.
func TestAManifestIsClosedBeforeItIsRenamed(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: newSite(t, nil, project(file("a", 10)))})
	text := []byte(sums(file("a", 10)))
	f, err := os.CreateTemp(filepath.Join(r.dir, store.Dir, "manifests"), "new.*")
	must(t, err)
	_, err = f.Write(text)
	must(t, err)
	d := manifest.Digest(sha256.Sum256(text))
	must(t, r.tree.KeepManifest(f, d))
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Close after keeping = %v, want that it was closed", err)
	}
	if got, err := os.ReadFile(filepath.Join(r.dir, store.Dir, "manifests", d.String())); err != nil || !bytes.Equal(got, text) {
		t.Errorf("the kept manifest is %q, %v, want %q", got, err, text)
	}
}

// What comes in place of a manifest and has no end is not read to it.
func TestAManifestWithoutEnd(t *testing.T) {
	f := newFickle("physionet", 1)
	var read atomic.Int64
	f.spoil = func(r source.Request, o *source.Object) {
		if r.Path == manifest.Name {
			_ = o.Body.Close()
			o.Size, o.Body = -1, io.NopCloser(&endless{"too many requests, try later ", &read})
		}
	}
	inFakeTime(t, budgeted(1, f), func(t *testing.T, r *rig) {
		if _, err := r.tryPull(t.Context()); !errors.Is(err, failure.ErrManifest) {
			t.Errorf("Pull = %v, want %v", err, failure.ErrManifest)
		}
		if n, most := read.Load(), int64(f.askedFor(manifest.Name))<<20; n == 0 || n > most {
			t.Errorf("%d bytes were read, want some, and at most %d", n, most)
		}
	})
}

// endless is a text again and again, and counts what is read of it.
type endless struct {
	text string
	read *atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, strings.Repeat(e.text, len(p)/len(e.text)+1))
	if e.read.Add(int64(n)) > 1<<30 {
		return n, errors.New("nobody should read that much")
	}
	return n, nil
}

// FAT, exFAT, NTFS and shares of Windows drop dots and spaces at the end of a name: two
// entries would be one file there. Elsewhere both come, and it is said.
func TestNamesThatDifferInDotsAtTheEnd(t *testing.T) {
	t.Parallel()
	files := []lookalike.GeneratedFile{file("d/notes", 10), file("d/notes.", 20), file("e ./x", 30), file("e/y", 40)}
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s})
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 4, Fetched: 4})
	if len(report.Collisions) != 2 || !report.Collisions[0].Trailing {
		t.Errorf("collisions = %+v, want notes. and e", report.Collisions)
	}

	fat := newRig(t, rigOptions{site: s, tree: tree.Options{Quirks: tree.Quirks{DropsEnds: true}}})
	report = fat.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 4, Fetched: 2, Failed: 2})
	for _, name := range []string{"d/notes.", "e/y"} {
		if got := reasonOf(report, name); got != string(failure.ReasonUnsafePath) {
			t.Errorf("%s failed by %q, want unsafe_path: %+v", name, got, report.Failures)
		}
	}
}
