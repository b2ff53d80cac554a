package downloader_test

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/store"
)

// No name in a manifest leads out of the version's folder, and the rest of the
// manifest is fetched all the same.
func TestHostileNamesAreReportedAndNotWritten(t *testing.T) {
	t.Parallel()
	good, last := file("a/good.csv", 1000), file("z", 1000)
	names := []string{
		"../x", "../../x", "a/../../x", "/tmp/mimicsync-must-not-exist", `a\b`, `..\x`, ".mimicsync/x", "a/.mimicsync/state.db",
		".MimicSync/x", "sha256sums.TXT", "a\x00b", "a\x1bb", strings.Repeat("n", 300), "a//b", "a/./b", "folder/",
		"C:/x", "bad\xffutf8",
	}
	outside := t.TempDir()
	dir := filepath.Join(outside, "mirror")
	must(t, os.Mkdir(dir, 0o700))
	s := newSite(t, nil, handmade(sums(good)+lines(t, good, names...)+sums(last), good, last))
	r := newRig(t, rigOptions{site: s, dir: dir})

	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: int64(len(names)) + 2, Fetched: 2, Failed: int64(len(names))})
	for _, f := range report.Failures {
		if f.Reason != string(failure.ReasonUnsafePath) {
			t.Errorf("%q failed by %q, want unsafe_path", f.Path, f.Reason)
		}
	}
	r.has(good, last)
	if got := s.Counters().Files; got != 2 {
		t.Errorf("%d files were asked for, want the 2 good ones", got)
	}
	var found []string
	for path := range snapshot(t, outside) {
		rel, err := filepath.Rel(dir, path)
		must(t, err)
		if !strings.HasPrefix(rel, store.Dir) {
			found = append(found, rel)
		}
	}
	if len(found) != 8 { // .., ., demo, demo/1.0, the manifest, a, a/good.csv, z
		t.Errorf("there are %q", found)
	}
	if _, err := os.Lstat("/tmp/mimicsync-must-not-exist"); err == nil {
		t.Error("a file was written outside the mirror")
	}
	// A second pass finds nothing to do but to report them again.
	s.Reset()
	wantFiles(t, r.pull(), store.Incomplete, store.Files{Total: int64(len(names)) + 2, Present: 2, Failed: int64(len(names))})
	if got := s.Counters().Requests; got > 2 {
		t.Errorf("%d requests, want those for the manifest and the size", got)
	}
}

// Entries that exclude each other are reported; all others are fetched.
func TestEntriesThatCollideAreReported(t *testing.T) {
	t.Parallel()
	a, other, twice := file("a", 100), file("other", 100), file("twice", 100)
	text := sums(a) + lines(t, other, "a/b") + sums(other) + sums(twice) + lines(t, a, "twice")
	s := newSite(t, nil, handmade(text, a, other, twice))
	r := newRig(t, rigOptions{site: s})

	report := r.pull()
	if report.State != store.Incomplete || report.Files.Total != 5 {
		t.Errorf("report = %+v, want incomplete, 5 in all", report)
	}
	for _, path := range []string{"a/b", "twice"} {
		if got := reasonOf(report, path); got != string(failure.ReasonUnsafePath) {
			t.Errorf("%s failed by %q, want unsafe_path", path, got)
		}
	}
	r.has(a, other)
}

// A symlink planted where a folder belongs is not written through, wherever it
// leads.
func TestAPlantedFolderSymlinkIsNotFollowed(t *testing.T) {
	elsewhere := t.TempDir()
	for _, tt := range []struct{ name, to string }{
		{"outside the mirror", elsewhere},
		{"into another folder of the mirror", "../2.0/hosp"},
		{"into .mimicsync", "../../.mimicsync/manifests"},
		{"to nowhere", "no-such-folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			x, y := file("hosp/x", 1000), file("y", 1000)
			s := newSite(t, nil, project(x, y))
			r := newRig(t, rigOptions{site: s})
			must(t, os.MkdirAll(r.path(""), 0o700))
			must(t, os.MkdirAll(filepath.Join(r.dir, "demo", "2.0", "hosp"), 0o700))
			must(t, os.Symlink(tt.to, r.path("hosp")))
			before := len(snapshot(t, elsewhere))

			report := r.pull()
			wantFiles(t, report, store.Incomplete, store.Files{Total: 2, Fetched: 1, Failed: 1})
			if got := reasonOf(report, "hosp/x"); got != string(failure.ReasonUnsafePath) {
				t.Errorf("hosp/x failed by %q, want unsafe_path: %+v", got, report.Failures)
			}
			r.has(y)
			s.wantGets(t, "hosp/x", 0) // there is no place for it: its bytes would be thrown away by every pass
			if after := len(snapshot(t, elsewhere)); after != before {
				t.Errorf("%d names were written through the symlink", after-before)
			}
			if got := len(snapshot(t, filepath.Join(r.dir, "demo", "2.0"))); got != 2 {
				t.Errorf("2.0 holds %d names, want hosp alone", got)
			}
		})
	}
}

// The files behind a planted symlink are other people's: they are not moved,
// not adopted and not read into the mirror.
func TestFilesBehindAPlantedSymlinkStay(t *testing.T) {
	for _, tt := range []struct{ name, to string }{{"outside", ""}, {"inside", "../2.0/hosp"}} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			elsewhere := t.TempDir()
			x := file("hosp/x", 1000)
			s := newSite(t, nil, project(x, file("y", 10)))
			r := newRig(t, rigOptions{site: s})
			must(t, os.MkdirAll(r.path(""), 0o700))
			other := filepath.Join(r.dir, "demo", "2.0", "hosp")
			must(t, os.MkdirAll(other, 0o700))
			for _, dir := range []string{other, elsewhere} {
				must(t, os.WriteFile(filepath.Join(dir, "x"), []byte("somebody's own"), 0o600))
			}
			must(t, os.Symlink(cmp.Or(tt.to, elsewhere), r.path("hosp")))
			before := snapshot(t, filepath.Join(r.dir, "demo", "2.0"))
			maps.Copy(before, snapshot(t, elsewhere))

			report := r.pull()
			wantFiles(t, report, store.Incomplete, store.Files{Total: 2, Fetched: 1, Failed: 1})
			after := snapshot(t, filepath.Join(r.dir, "demo", "2.0"))
			maps.Copy(after, snapshot(t, elsewhere))
			if !maps.Equal(before, after) {
				t.Errorf("behind the symlink is now %q, want %q", after, before)
			}
			if len(report.Failures) == 1 && report.Failures[0].Reason != "unsafe_path" && report.Failures[0].Reason != "io" {
				t.Errorf("failures = %+v, want unsafe_path or io", report.Failures)
			}
		})
	}
}

// A folder in a file's place, and a file in a folder's, are for a person to
// move away.
func TestAFolderInTheWayIsReported(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("a", 100), file("b/c", 100), file("d", 100)))
	r := newRig(t, rigOptions{site: s})
	r.plant("a/somebody's", []byte("own"))
	r.plant("b", []byte("a file"))

	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 3, Fetched: 1, Failed: 2})
	for _, path := range []string{"a", "b/c"} {
		if got := reasonOf(report, path); got != string(failure.ReasonIO) {
			t.Errorf("%s failed by %q, want io", path, got)
		}
	}
	if string(r.read("a/somebody's")) != "own" || string(r.read("b")) != "a file" {
		t.Error("what was in the way was touched")
	}
}

// What mimicsync writes is for its user alone: it is patient data.
func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, project(file("hosp/a", 100), file("big", 5*mega)))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	for path := range snapshot(t, r.dir) {
		fi, err := os.Lstat(path)
		must(t, err)
		if fi.Mode().Perm()&0o077 != 0 && path != r.dir {
			t.Errorf("%s has mode %v, want nothing for group and others", path, fi.Mode())
		}
	}
}
