package downloader_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/manifest"
	"mimicsync/store"
)

// versions is a project demo with several versions.
func versions(of ...[]lookalike.GeneratedFile) lookalike.Project {
	p := project(of[0]...)
	for i, files := range of[1:] {
		v := project(files...).Versions[0]
		v.Version = fmt.Sprintf("%d.0", i+2)
		p.Versions = append(p.Versions, v)
	}
	return p
}

var demo2 = manifest.Ref{Dataset: "demo", Version: "2.0"}

// same is a file with content that does not depend on its path.
func same(path, data string) lookalike.GeneratedFile {
	return lookalike.GeneratedFile{Path: path, Data: []byte(data)}
}

// A new version has the old one's files, mostly: those are here already.
func TestANewVersionLinksWhatIsHere(t *testing.T) {
	t.Parallel()
	unchanged := same("a.csv", "the same in both versions\n")
	s := newSite(t, nil, versions(
		[]lookalike.GeneratedFile{unchanged, same("b.csv", "old\n"), same("moved/c", "c\n")},
		[]lookalike.GeneratedFile{unchanged, same("b.csv", "new\n"), same("c", "c\n")},
	))
	r := newRig(t, rigOptions{site: s})
	r.pull()
	s.Reset()

	report, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Complete, store.Files{Total: 3, Linked: 2, Fetched: 1})
	if got := s.Counters().Files; got != 1 {
		t.Errorf("%d files were fetched, want 1", got)
	}
	for one, two := range map[string]string{"a.csv": "a.csv", "moved/c": "c"} {
		a, err := os.Stat(r.path(one))
		must(t, err)
		b, err := os.Stat(filepath.Join(r.dir, "demo", "2.0", two))
		must(t, err)
		if !os.SameFile(a, b) {
			t.Errorf("%s of 2.0 takes room of its own beside %s of 1.0", two, one)
		}
	}
}

func TestTwoEntriesWithOneDigestAreFetchedOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		size int
	}{{"small", 5000}, {"big", 5 * mega}} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			data := string(content(t, file("x", int64(tt.size))))
			s := newSite(t, nil, project(same("a/x", data), same("b/x", data)))
			r := newRig(t, rigOptions{site: s})

			report := r.pull()
			wantFiles(t, report, store.Complete, store.Files{Total: 2, Fetched: 1, Linked: 1})
			if got := s.Counters().Files; got != 1 {
				t.Errorf("%d files were fetched, want 1", got)
			}
			r.has(same("a/x", data), same("b/x", data))
		})
	}
}

// Datasets have thousands of empty or equal files. They cost one request, and
// no more time than that.
func TestAHundredEmptyFilesCostOneRequest(t *testing.T) {
	slow(t)
	var files []lookalike.GeneratedFile
	for i := range 100 {
		files = append(files, file(fmt.Sprintf("empty/%03d", i), 0))
	}
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s})

	report := r.pullWithin(time.Minute) // a commit of each would take longer
	wantFiles(t, report, store.Complete, store.Files{Total: 100, Fetched: 1, Linked: 99})
	if got := s.Counters().Files; got != 1 {
		t.Errorf("%d files were fetched, want 1", got)
	}
	if report.Elapsed > 6*time.Second {
		t.Errorf("the pass took %v, want a few seconds at most", report.Elapsed)
	}
}

// A path that is listed twice with the same digest is one file.
func TestAnEntryListedTwiceIsFetchedOnce(t *testing.T) {
	slow(t)
	f := file("a.csv", 5000)
	s := newSite(t, nil, handmade(sums(f)+sums(f), f))
	r := newRig(t, rigOptions{site: s})

	report := r.pull()
	if report.State != store.Complete || report.Files.Failed != 0 {
		t.Errorf("report = %+v, want complete", report)
	}
	s.wantGets(t, "a.csv", 1)
	r.has(f)
}

// With two digests nobody knows which one is right: it is named, and not fetched.
func TestAnEntryListedWithTwoDigests(t *testing.T) {
	t.Parallel()
	f, other := file("a.csv", 300), file("a.csv", 301)
	s := newSite(t, nil, handmade(sums(f)+sums(other), f))
	r := newRig(t, rigOptions{site: s})

	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 2, Failed: 2})
	if len(report.Failures) != 2 || !strings.Contains(report.Failures[0].Detail, "lists it twice, with different digests") {
		t.Errorf("failures = %+v, want that it is listed twice", report.Failures)
	}
	s.wantGets(t, "a.csv", 0)
}

// A file that grew in place shares its bytes with its twin in another version:
// the twin must stay as it was recorded.
func TestAFileThatGrewLeavesItsLinkedTwinAlone(t *testing.T) {
	slow(t)
	const old = "line 1\nline 2\n"
	s := newSite(t, nil, versions(
		[]lookalike.GeneratedFile{same("RECORDS", old)}, []lookalike.GeneratedFile{same("RECORDS", old), same("other", "x")}))
	r := newRig(t, rigOptions{site: s})
	_, err := r.run(t.Context(), demo2, new(progress.Progress))
	must(t, err)
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Linked: 1})

	grown := same("RECORDS", old+"line 3\n")
	s.Publish(versions([]lookalike.GeneratedFile{grown}, []lookalike.GeneratedFile{same("RECORDS", old), same("other", "x")}))
	report := r.pull()
	if report.State != store.Complete {
		t.Errorf("report = %+v", report)
	}
	r.has(grown)
	twin, err := os.ReadFile(filepath.Join(r.dir, "demo", "2.0", "RECORDS"))
	must(t, err)
	if string(twin) != old {
		t.Errorf("RECORDS of 2.0 is %q, want it untouched: %q", twin, old)
	}
}
