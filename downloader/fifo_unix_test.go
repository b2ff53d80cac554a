//go:build unix

package downloader_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mimicsync/downloader/progress"
	"mimicsync/manifest"
)

// To open a FIFO waits for somebody who writes into it. Whatever of a version is one,
// nothing waits, and what can be done is done.
func TestAFIFOKeepsNobodyWaiting(t *testing.T) {
	a, b := file("a", 1000), file("sub/b", 2000)
	for _, place := range []string{"..", ".", "a", "sub", "sub/b", manifest.Name} {
		for _, known := range []bool{false, true} {
			r := newRig(t, rigOptions{site: newSite(t, nil, project(a, b))})
			if known {
				r.pull()
			}
			path := filepath.Clean(r.path(place))
			must(t, os.RemoveAll(path))
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, syscall.Mkfifo(path, 0o600))
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = r.syncer.Plan(t.Context(), demo, selectAll)
				_, _ = r.syncer.Verify(t.Context(), demo, selectAll, new(progress.Progress))
				_, _ = r.tryPull(t.Context())
			}()
			select {
			case <-done:
			case <-time.After(30 * time.Second):
				w, _ := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0) // lets it end
				defer func() { _ = w.Close() }()
				t.Fatalf("with a FIFO at %s, known: %v, something waits", place, known)
			}
			must(t, os.RemoveAll(path))
			r.reopen()
			if report, err := r.tryPull(t.Context()); err != nil || report.Files.Failed > 0 {
				t.Errorf("without the FIFO at %s: %+v, %v", place, report, err)
			}
		}
	}
}
