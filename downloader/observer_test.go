package downloader_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/downloader"
	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// counts is what an Observer heard.
type counts struct {
	mu                    sync.Mutex // guards what follows
	requests              map[string]int
	received              map[string]int64
	files, retries, calls int
	took                  time.Duration
}

func newCounts() *counts { return &counts{requests: map[string]int{}, received: map[string]int64{}} }

func (c *counts) Requested(source, outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests[source+" "+outcome]++
}

func (c *counts) Received(source string, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received[source] += n
	c.calls++
}

func (c *counts) Committed(files int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files, c.took = c.files+files, c.took+took
}

func (c *counts) Retried(string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retries++
}

// An observer can account for every request, byte and file of a pass, and hears
// of a small file's bytes once.
func TestAnObserverHearsWhatAPassDoes(t *testing.T) {
	slow(t)
	const n, size = 30, 40_000
	files := manyFiles(n, size)
	s := newSite(t, nil, project(append(files, file("gone", 10))...))
	s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusNotFound, Path: "gone"})
	s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusServiceUnavailable, Path: "files/0007.csv", Times: 1, RetryAfter: "0"})
	s.Inject(lookalike.Fault{Kind: lookalike.Status, Code: http.StatusBadGateway, Path: "files/0008.csv", Times: 1})
	c := newCounts()
	r := newRig(t, rigOptions{site: s, observer: c})
	wantFiles(t, r.pull(), store.Incomplete, store.Files{Total: n + 1, Fetched: n, Failed: 1})

	manifestSize := int64(len(r.read("SHA256SUMS.txt")))
	if got, want := c.received, map[string]int64{"physionet": n*size + 2*manifestSize}; !cmp.Equal(got, want) {
		t.Errorf("received = %v, want %v", got, want)
	}
	if c.calls > 2*(n+1) { // a machine that is busy may take a file for a slow one
		t.Errorf("Received was called %d times, want about once for each file and the manifest", c.calls)
	}
	// ok: also the published size and the manifest, once more before the missing file is given up.
	want := map[string]int{"physionet ok": n + 3, "physionet not_found": 2, "physionet refused": 1, "physionet error": 1}
	if diff := cmp.Diff(want, c.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if c.files != n || c.took <= 0 || c.retries != 3 {
		t.Errorf("%d files committed in %v, %d retries, want %d files and 3 retries", c.files, c.took, c.retries, n)
	}

	c.requests = map[string]int{}
	s.ClearFaults()
	r.pull("files/**")
	if got, want := c.requests, map[string]int{"physionet not_modified": 1}; !cmp.Equal(got, want) {
		t.Errorf("requests of a pass with nothing to do = %v, want %v", got, want)
	}
}

var _ downloader.Observer = (*counts)(nil)
