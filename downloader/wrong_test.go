package downloader_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/store"
)

// bodies counts the answers about a file that brought bytes.
func bodies(host *lookalike.Host, name string) (n int) {
	for _, r := range host.Requests() {
		if strings.HasSuffix(r.Path, "/"+name) && r.Status/100 == 2 {
			n++
		}
	}
	return n
}

// A store has another object than the manifest says: it is fetched, looked at once
// more, and then not again in any pass until it is replaced, for somebody pays.
func TestADifferentObjectIsFetchedNoMore(t *testing.T) {
	slow(t)
	right, wrong := same("labs.csv", "as published"), same("labs.csv", "as corrected")
	story := func(t *testing.T, host *lookalike.Host, source host.Source, replace func(f lookalike.GeneratedFile, at time.Time)) {
		t.Helper()
		r := fromStore(t, source, right)
		for pass, want := range []int{2, 0, 0} {
			host.Reset()
			report := r.pull()
			wantFiles(t, report, store.Incomplete, store.Files{Total: 1, Failed: 1})
			if reason := reasonOf(report, "labs.csv"); reason != string(failure.ReasonChecksum) {
				t.Errorf("pass %d: the reason is %s, want that of a wrong digest", pass, reason)
			}
			if got := bodies(host, "labs.csv"); got != want {
				t.Errorf("pass %d: the object came %d times, want %d", pass, got, want)
			}
			if n := asked(host, "labs.csv"); pass > 0 && n != 1 {
				t.Errorf("pass %d: it was asked for %d times, want once whether it is still the same", pass, n)
			}
			r.reopen()
		}
		replace(wrong, time.Now().Add(-time.Hour)) // by another wrong one
		host.Reset()
		wantFiles(t, r.pull(), store.Incomplete, store.Files{Total: 1, Failed: 1})
		if got := bodies(host, "labs.csv"); got != 2 {
			t.Errorf("another object came %d times, want twice", got)
		}
		replace(right, time.Now())
		wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
		r.has(right)
	}
	t.Run("s3", func(t *testing.T) {
		a := newAmazon(t, nil, wrong)
		story(t, &a.Host, dear(a.source), func(f lookalike.GeneratedFile, at time.Time) {
			a.AddBucket(lookalike.S3Bucket{Name: "demo-copy", Public: true, Objects: lookalike.Generated([]lookalike.GeneratedFile{f}), ModTime: at})
		})
	})
	t.Run("gcs", func(t *testing.T) {
		g := newGoogle(t, gcs.Options{Anonymous: true}, lookalike.Bucket{}, wrong)
		story(t, &g.Host, dear(g.source), func(f lookalike.GeneratedFile, at time.Time) {
			g.Publish(lookalike.Bucket{Name: gcs.DefaultBucket(demo), Objects: lookalike.Generated([]lookalike.GeneratedFile{f}), ModTime: at})
		})
	})
}

// What comes wrong on its way is tried again: once is no proof, and neither are
// bytes that are wrong in another way each time.
func TestAWrongTransferIsNoDifferentObject(t *testing.T) {
	slow(t)
	f := file("a.csv", 5000)
	eachStore(t, func(t *testing.T, host *lookalike.Host, source host.Source) {
		for i := range 2 {
			host.Inject(lookalike.Fault{Kind: lookalike.Corrupt, After: int64(1000 + i), Times: 1})
		}
		r := fromStore(t, source, f)
		wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
		r.has(f)
	}, f)
}

// PhysioNet's ETag is of a size and a time: it proves nothing about the bytes, and
// what is wrong there is fetched by the next pass.
func TestAWebServersValidatorProvesNothing(t *testing.T) {
	slow(t)
	f := file("a.csv", 5000)
	s := newSite(t, nil, project(f))
	fault := s.Inject(lookalike.Fault{Kind: lookalike.Corrupt, After: 1000, Path: "a.csv"})
	r := newRig(t, rigOptions{site: s})
	wantFiles(t, r.pull(), store.Incomplete, store.Files{Total: 1, Failed: 1})
	fault.Remove()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
}

// A copy that lags behind is wrong, and PhysioNet has it right: from then on the
// store is not asked, in a mirror that lost the file too.
func TestADifferentObjectIsTakenElsewhere(t *testing.T) {
	slow(t)
	right := same("a", "the right content")
	a := newAmazon(t, nil, same("a", "some other content"))
	p := newSite(t, nil, project(right))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, authority}, authority: &authority})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	if got := bodies(&a.Host, "a"); got != 2 {
		t.Errorf("the wrong object came %d times, want twice", got)
	}
	must(t, os.Remove(r.path("a")))
	p.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusNotFound, Path: "a"})
	a.Reset()
	report := r.pull()
	wantFiles(t, report, store.Incomplete, store.Files{Total: 1, Failed: 1})
	if n, came := asked(a, "a"), bodies(&a.Host, "a"); n != 1 || came != 0 {
		t.Errorf("the store was asked %d times and sent %d bodies, want one question and none", n, came)
	}
	if detail := report.Failures[0].Detail; !strings.Contains(detail, "still has the object that was wrong") {
		t.Errorf("detail = %q, want what is known", detail)
	}
	p.ClearFaults()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
}
