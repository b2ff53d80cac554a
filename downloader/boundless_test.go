package downloader_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/internal/durable"
	"mimicsync/store"
)

// pour answers requests for a file with zeros without end, and does not say how many,
// as long as it is on.
func pour(name string, on *atomic.Bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !on.Load() || !strings.HasSuffix(r.URL.Path, "/"+name) {
			return false
		}
		w.Header().Set("Content-Type", "text/csv")
		zeros := make([]byte, 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(zeros); err != nil {
				break
			}
		}
		return true
	}
}

// A file that goes on and on is dropped where it passes any size that it could have,
// and the others come.
func TestAFileWithoutEndIsDropped(t *testing.T) {
	slow(t)
	var on atomic.Bool
	on.Store(true)
	a, b := file("a.csv", 1000), file("b.csv", 2*mega)
	r := newRig(t, rigOptions{site: newStrangeSite(t, pour("a.csv", &on), project(a, b))})
	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 2, Fetched: 1, Failed: 1})
	if got := reasonOf(report, "a.csv"); got != string(failure.ReasonSize) || !strings.Contains(report.Failures[0].Detail, "was dropped") {
		t.Errorf("failures = %+v, want that the size is wrong", report.Failures)
	}
	if got := report.Bytes.Discarded; got < 64*mega || got > 70*mega {
		t.Errorf("%d bytes were discarded, want little more than 64 MiB", got)
	}
	on.Store(false)
	r.reopen()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 1, Fetched: 1})
	r.has(a, b)
}

// Where nobody knows the size of the version, such a file fills the disk: it has room
// again afterwards, and the other files come.
func TestADiskFullOfJunkHeals(t *testing.T) {
	slow(t)
	dir := smallDisk(t, "size=96m")
	var on atomic.Bool
	on.Store(true)
	a, b := file("a.csv", 1000), file("b.csv", 4*mega)
	r := newRig(t, rigOptions{dir: dir, site: newStrangeSite(t, pour("a.csv", &on), unsized(a, b))})
	for pass := range 4 {
		report, err := r.tryPull(t.Context())
		space, serr := durable.Free(dir)
		must(t, serr)
		if space.Bytes < 80*mega {
			t.Fatalf("pass %d leaves %d bytes free of 96 MiB (%v, %+v)", pass, space.Bytes, err, report.Failures)
		}
		if err == nil {
			if got := reasonOf(report, "a.csv"); got != string(failure.ReasonSize) {
				t.Errorf("failures = %+v, want that the size of a.csv is wrong", report.Failures)
			}
			break
		}
		_ = wantNoSpace(t, err) // of the other file, which came when there was no room for it
		r.reopen()
	}
	r.has(b)
	on.Store(false)
	r.reopen()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Present: 1, Fetched: 1})
	r.has(a, b)
}

// PhysioNet's word on the size of a version is no law: where a pass would not start by
// it, it is asked again, and a person can go on without it.
func TestAWrongPublishedSize(t *testing.T) {
	dir := smallDisk(t, "size=32m")
	a := file("a.csv", 1000)
	wrong := func(bytes int64) lookalike.Project {
		p := project(a)
		p.Versions[0].Bytes = bytes
		return p
	}
	s := newSite(t, nil, wrong(600e12))
	r := newRig(t, rigOptions{site: s, dir: dir})
	_, err := r.tryPull(t.Context())
	if space := wantNoSpace(t, err); space.Published != 600e12 {
		t.Errorf("error = %+v, want one that names the published size", space)
	}
	r.reopen()
	wantFiles(t, r.pull("**"), store.Complete, store.Files{Total: 1, Fetched: 1}) // the person knows better
	r.has(a)

	dir = smallDisk(t, "size=32m")
	r = newRig(t, rigOptions{site: s, dir: dir})
	_, err = r.tryPull(t.Context())
	_ = wantNoSpace(t, err)
	s.Publish(wrong(1000)) // the manifest is as it was
	r.reopen()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	r.has(a)
}
