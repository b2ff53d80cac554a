package downloader_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A copy that lacks the whole version is asked for a few files, and then for the
// manifest: that tells.
func TestAVersionThatASourceLacksShowsSoon(t *testing.T) {
	t.Parallel()
	files := manyFiles(80, 1000)
	a := newAmazon(t, nil, file("another/version.csv", 10))
	a.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusNotFound, Reason: "NoSuchKey", Duration: 300 * time.Millisecond, Path: manifest.Name}) // that takes its time
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, authority}, authority: &authority})
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 80, Fetched: 80})
	if got := report.Sources[0]; !strings.Contains(got.Dropped, "has nothing of demo@1.0") || got.Files != 0 {
		t.Errorf("s3 = %+v, want it dropped for lack of the version", got)
	}
	if got := a.Counters().Requests; got > 16 {
		t.Errorf("%d requests to a source that has nothing, want a few", got)
	}
}

// A copy that lacks some files is asked for all others.
func TestASourceThatLacksSomeFilesStays(t *testing.T) {
	t.Parallel()
	files := manyFiles(60, 1000)
	a := newAmazon(t, nil, withManifest(files...)...)
	a.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusNotFound, Reason: "NoSuchKey", Path: "*.csv", Times: 12})
	p := newSite(t, nil, project(files...))
	authority := p.source(t, physionet.Credentials{}, 4)
	r := newRig(t, rigOptions{sources: []host.Source{a.source, authority}, authority: &authority})
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 60, Fetched: 60})
	if got := report.Sources[0]; got.Dropped != "" || got.Files != 48 || got.Failed != 12 {
		t.Errorf("s3 = %+v, want it to give the 48 files that it has", got)
	}
}
