package downloader_test

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/manifest"
	"mimicsync/store"
)

func TestPullFetchesVerifiesAndThenAsksOnce(t *testing.T) {
	files := []lookalike.GeneratedFile{file("hosp/a.csv.gz", 10_000), file("hosp/b.csv.gz", 3<<20), file("icu/c d+e&f%41.csv", 0), file("top.txt", 1)}
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s})

	report := r.pull()
	if report.State != store.Complete || report.Files.Fetched != 4 || report.Files.Total != 4 {
		t.Fatalf("first pass: %+v", report)
	}
	for _, f := range files {
		if !bytes.Equal(r.read(f.Path), content(t, f)) {
			t.Errorf("%s is not what the server has", f.Path)
		}
	}
	if got := s.Counters().Requests; got != 6 {
		t.Errorf("first pass made %d requests, want 6: the manifest, the size, 4 files", got)
	}
	s.Reset()
	r.reopen()
	report = r.pull()
	if report.State != store.Complete || report.Files.Present != 4 {
		t.Fatalf("second pass: %+v", report)
	}
	if got := s.Counters().Requests; got != 1 {
		t.Errorf("second pass made %d requests, want 1 for the manifest", got)
	}
}

func TestPullRestoresWhatWasDeletedOrEdited(t *testing.T) {
	files := []lookalike.GeneratedFile{file("a", 5000), file("b", 5000), file("c", 5000)}
	s := newSite(t, nil, project(files...))
	r := newRig(t, rigOptions{site: s})
	r.pull()

	must(t, os.Remove(r.path("a")))
	must(t, os.WriteFile(r.path("b"), []byte("edited by hand"), 0o600))
	report := r.pull()
	if report.State != store.Complete || report.Files.Fetched != 2 || report.Files.Present != 1 {
		t.Errorf("report = %+v, want 2 fetched and 1 present", report)
	}
	if !bytes.Equal(r.read("b"), content(t, files[1])) {
		t.Error("b is still the edited one")
	}
	if len(report.Quarantined) != 1 {
		t.Errorf("quarantined %v, want the edited b: it was somebody's work", report.Quarantined)
	}
	_ = failure.ReasonIO
}

// Two passes at once share the connections of the host fairly: the one that
// began later does not wait for the other to end.
func TestTwoPassesShareTheConnections(t *testing.T) {
	slow(t)
	var second []lookalike.GeneratedFile
	for i := range 60 {
		second = append(second, file(fmt.Sprintf("other/%04d.csv", i), 2000))
	}
	s := newSite(t, nil, versions(manyFiles(60, 2000), second))
	s.Inject(lookalike.Fault{Kind: lookalike.Slow, Rate: 20_000, Path: "*.csv"}) // a tenth of a second each
	r := newRig(t, rigOptions{site: s, connections: 4})
	var progress [2]progress.Progress
	first := make(chan int64, 1)
	var wg sync.WaitGroup
	for i, ref := range []manifest.Ref{demo, demo2} {
		wg.Go(func() {
			report, err := r.run(t.Context(), ref, &progress[i])
			if err != nil || report.State != store.Complete {
				t.Errorf("%v: %v, %v", ref, report, err)
			}
			select {
			case first <- progress[1-i].Fetched.Load():
			default:
			}
		})
	}
	wg.Wait()
	if other, all := <-first, int64(60*2000); other < all/2 {
		t.Errorf("when one pass was done, the other had fetched %d of %d bytes, want most of them", other, all)
	}
}
