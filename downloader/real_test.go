package downloader_test

import (
	"archive/zip"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/manifest"
	"mimicsync/store"
)

// sharedData is where a developer's machine has published files, beside the
// repository.
const sharedData = "../../shared/data"

// mimicDemo is MIMIC-IV Demo 2.2 without its largest file, or something of the
// same shape.
func mimicDemo(t *testing.T) lookalike.Version {
	t.Helper()
	dir := filepath.Join(sharedData, "mimic-iv-demo-2.2")
	if text, err := os.ReadFile(filepath.Join(dir, manifest.Name)); err == nil {
		t.Logf("serving the files of %s", dir)
		return lookalike.Version{Version: "2.2", Files: os.DirFS(dir), Manifest: text, Bytes: 16_000_000}
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	t.Log("serving a generated stand-in: the files of mimic-iv-demo are not here")
	var files []lookalike.GeneratedFile
	for i := range 33 {
		files = append(files, file(fmt.Sprintf("hosp/%02d.csv.gz", i), 300_000))
	}
	text := sums(append(files, file("icu/chartevents.csv.gz", 900_000))...)
	return lookalike.Version{Version: "2.2", Files: lookalike.Generated(files), Manifest: []byte(text), Bytes: 16_000_000}
}

// One person pulls the newest MIMIC-IV Demo as if it were a credentialed
// dataset: few requests, one or two password checks, HTTP/1.1, and all files
// but the one that is not there.
func TestMIMICIVDemo(t *testing.T) {
	slow(t)
	s := newSite(t, func(l *lookalike.Server) {
		l.HashDelay = 50 * time.Millisecond
		ada("mimic-iv-demo@2.2")(l)
	}, lookalike.Project{Slug: "mimic-iv-demo", Title: "MIMIC-IV Demo", Policy: lookalike.Credentialed, Versions: []lookalike.Version{mimicDemo(t)}})
	r := newRig(t, rigOptions{site: s, user: login, connections: 8})

	ref, err := r.syncer.Resolve(t.Context(), manifest.Ref{Dataset: "mimic-iv-demo"}, nil)
	must(t, err)
	report, err := r.run(t.Context(), ref, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Incomplete, store.Files{Total: 34, Fetched: 33, Failed: 1})
	if got := reasonOf(report, "icu/chartevents.csv.gz"); got != string(failure.ReasonNotFound) {
		t.Errorf("icu/chartevents.csv.gz failed by %q, want not_found", got)
	}
	wantWget(t, s, 40)
	if v, err := r.syncer.Verify(t.Context(), ref, selectAll, new(progress.Progress)); err != nil || v.Verified != 33 {
		t.Errorf("verification = %+v, %v, want 33 right", v, err)
	}

	s.Reset()
	r.reopen()
	report, err = r.run(t.Context(), ref, new(progress.Progress))
	must(t, err)
	wantFiles(t, report, store.Incomplete, store.Files{Total: 34, Present: 33, Failed: 1})
	if got := s.Counters().Requests; got > 5 { // the manifest, the missing file twice, and the manifest again before that is given up
		t.Errorf("the second pass made %d requests, want at most 5", got)
	}
}

// wantWget checks what the server saw of a well-behaved client.
func wantWget(t *testing.T, s *site, most int64) {
	t.Helper()
	c := s.Counters()
	if c.Requests > most || c.PasswordChecks > 2 {
		t.Errorf("%d requests and %d password checks, want at most %d and 2", c.Requests, c.PasswordChecks, most)
	}
	if len(c.Protocols) != 1 || c.Protocols["HTTP/1.1"] != c.Requests {
		t.Errorf("protocols %v, want HTTP/1.1 alone", c.Protocols)
	}
	for agent := range c.UserAgents {
		if !strings.HasPrefix(agent, "Wget/") {
			t.Errorf("User-Agent %q, want one that starts with Wget/", agent)
		}
	}
	for _, q := range s.Requests() {
		if q.Method != http.MethodGet {
			t.Errorf("%s %s, want GETs alone", q.Method, q.Path)
		}
	}
}

// pergIOBA unpacks PERG-IOBA 1.0.0, an open dataset that is here as a whole.
func pergIOBA(t *testing.T) (version lookalike.Version, files int64) {
	t.Helper()
	name := filepath.Join(sharedData, "perg-ioba-1.0.0", "perg-ioba-1.0.0.zip")
	archive, err := zip.OpenReader(name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Log("serving a generated stand-in: perg-ioba is not here")
		p := project(manyFiles(338, 9000)...)
		return p.Versions[0], 338
	}
	must(t, err)
	t.Logf("serving the members of %s", name)
	dir := t.TempDir()
	must(t, os.CopyFS(dir, archive))
	must(t, archive.Close())
	tops, err := os.ReadDir(dir)
	must(t, err)
	if len(tops) != 1 {
		t.Fatalf("%s has %d top folders, want 1", name, len(tops))
	}
	top := os.DirFS(filepath.Join(dir, tops[0].Name()))
	text, err := fs.ReadFile(top, manifest.Name)
	must(t, err)
	reader := manifest.NewReader(strings.NewReader(string(text)))
	for {
		if _, err := reader.Next(); err != nil {
			break
		}
		files++
	}
	return lookalike.Version{Version: "1.0", Files: top, Manifest: text, Bytes: 7_000_000}, files
}

func TestPERGIOBA(t *testing.T) {
	slow(t)
	version, n := pergIOBA(t)
	version.Version = "1.0"
	s := newSite(t, nil, lookalike.Project{Slug: "demo", Title: "PERG-IOBA", Versions: []lookalike.Version{version}})
	r := newRig(t, rigOptions{site: s, connections: 8})
	report := r.pull()
	if report.State != store.Complete || report.Files.Total != n || report.Files.Fetched+report.Files.Linked != n {
		t.Errorf("report = %+v, want all %d files (failures %+v)", report.Files, n, report.Failures)
	}
	wantWget(t, s, n+3)
	if v := r.verify(); v.Verified != n {
		t.Errorf("verification = %+v, want %d right", v, n)
	}
}
