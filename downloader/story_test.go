package downloader_test

import (
	"context"
	"errors"
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
	"mimicsync/downloader/report"
	"mimicsync/manifest"
	"mimicsync/store"
)

// slow marks a story that takes seconds, or megabytes.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
}

// fewer is the number of files in a pass of many: n, or a third under the race
// detector.
func fewer(n int) int {
	if raced {
		return n / 3
	}
	return n
}

// gets returns the answered requests for a file of demo@1.0.
func (s *site) gets(name string) []lookalike.Request {
	var found []lookalike.Request
	for _, r := range s.Requests() {
		if r.Path == "/files/demo/1.0/"+name {
			found = append(found, r)
		}
	}
	return found
}

func (s *site) wantGets(t testing.TB, name string, want int) {
	t.Helper()
	if got := s.gets(name); len(got) != want {
		t.Errorf("%d requests for %s, want %d: %+v", len(got), name, want, got)
	}
}

// wantFiles compares what a pass did with its files.
func wantFiles(t testing.TB, r *report.Report, state store.State, want store.Files) {
	t.Helper()
	if r.State != state {
		t.Errorf("state = %v, want %v (failures %+v, error %v)", r.State, state, r.Failures, r.Err)
	}
	if r.Files != want {
		t.Errorf("files = %+v, want %+v (failures %+v)", r.Files, want, r.Failures)
	}
}

// reasonOf returns why a path failed, empty if it did not.
func reasonOf(r *report.Report, path string) string {
	for _, f := range r.Failures {
		if f.Path == path {
			return f.Reason
		}
	}
	return ""
}

// has fails the test unless a file of demo@1.0 is the served one.
func (r *rig) has(files ...lookalike.GeneratedFile) {
	r.t.Helper()
	for _, f := range files {
		if got := string(r.read(f.Path)); got != string(content(r.t, f)) {
			r.t.Errorf("%s is not what the server has: %d bytes, want %d", f.Path, len(got), f.Size)
		}
	}
}

func (r *rig) lacks(names ...string) {
	r.t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(r.path(name)); !errors.Is(err, fs.ErrNotExist) {
			r.t.Errorf("%s is there (%v), want nothing under its final name", name, err)
		}
	}
}

// plant puts a file into the mirror as another tool would have.
func (r *rig) plant(name string, data []byte) {
	r.t.Helper()
	must(r.t, os.MkdirAll(filepath.Dir(r.path(name)), 0o755))
	must(r.t, os.WriteFile(r.path(name), data, 0o644))
}

// quarantined returns what lies in quarantine under a name of demo@1.0.
func (r *rig) quarantined(name string) []byte {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, store.Dir, "quarantine", "demo", "1.0", filepath.FromSlash(name)))
	must(r.t, err)
	return b
}

// run is tryPull with a progress to look at, for any version.
func (r *rig) run(ctx context.Context, ref manifest.Ref, progress *progress.Progress) (*report.Report, error) {
	return r.syncer.Pull(ctx, ref, manifest.Selection{}, progress)
}

// interrupt runs a pass and stops it, as Ctrl-C does, once that many bytes came.
func (r *rig) interrupt(after int64) *report.Report {
	r.t.Helper()
	ctx, cancel := context.WithCancelCause(r.t.Context())
	defer cancel(nil)
	progress := new(progress.Progress)
	done := make(chan struct{})
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
				if progress.Fetched.Load() >= after {
					cancel(failure.ErrInterrupted)
					return
				}
			}
		}
	}()
	report, err := r.run(ctx, demo, progress)
	close(done)
	<-watcher
	if !errors.Is(err, failure.ErrInterrupted) {
		r.t.Fatalf("Pull = %v, want %v", err, failure.ErrInterrupted)
	}
	if report.State != store.Interrupted {
		r.t.Errorf("state = %v, want interrupted", report.State)
	}
	return report
}

// handmade is demo@1.0 with a manifest that was written by hand; lines without
// a digest get that of the file's bytes.
func handmade(manifestText string, files ...lookalike.GeneratedFile) lookalike.Project {
	p := project(files...)
	p.Versions[0].Manifest = []byte(manifestText)
	p.Versions[0].Bytes = 0
	return p
}

// lines writes manifest lines that give each path the digest of a file.
func lines(t testing.TB, of lookalike.GeneratedFile, paths ...string) string {
	t.Helper()
	text := string(lookalike.Generated([]lookalike.GeneratedFile{of}).Manifest())
	digest, _, _ := strings.Cut(text, " ")
	var b strings.Builder
	for _, p := range paths {
		b.WriteString(digest + " " + p + "\n")
	}
	return b.String()
}

// sums is the manifest of files.
func sums(files ...lookalike.GeneratedFile) string {
	return string(lookalike.Generated(files).Manifest())
}

// snapshot lists everything below a folder with its content, to show that
// nothing in it changed.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			all[path] = ""
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(path)
			all[path] = to
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	}))
	return all
}

// testClient trusts the look-alike.
func testClient(t testing.TB) *http.Client {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}
