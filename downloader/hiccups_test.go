package downloader_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/gcs"
	"mimicsync/manifest"
	"mimicsync/store"
)

// hiccups are faults that befall one answer in a hundred, all kinds alike. Which
// answers depends on the path and on how often it was asked for, and not on the order
// in which workers come.
type hiccups struct {
	seed  string
	kinds int

	mu    sync.Mutex
	asked map[string]int
	drawn map[*http.Request]int
}

// draw returns the kind that befalls a request, 0 for none.
func (h *hiccups) draw(r *http.Request) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if kind, ok := h.drawn[r]; ok {
		return kind
	}
	h.asked[r.URL.Path]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", h.seed, r.URL.Path, h.asked[r.URL.Path]))
	kind := 0
	if binary.BigEndian.Uint32(sum[:])%100 == 0 {
		kind = 1 + int(binary.BigEndian.Uint32(sum[4:]))%h.kinds
	}
	if strings.HasSuffix(r.URL.Path, manifest.Name) { // the manifest's answer is one of them, for sure
		kind = 0
		if h.asked[r.URL.Path] == 1 {
			kind = 1
		}
	}
	h.drawn[r] = kind
	return kind
}

// inject gives a look-alike these faults, each with its share of the hiccups.
func inject(seed string, host interface {
	Inject(f lookalike.Fault) *lookalike.Injected
}, faults ...lookalike.Fault,
) (struck func() []int) {
	h := &hiccups{seed: seed, kinds: len(faults), asked: map[string]int{}, drawn: map[*http.Request]int{}}
	var all []*lookalike.Injected
	for i, f := range faults {
		f.Match = func(r *http.Request) bool {
			return r.Method == http.MethodGet && (strings.Contains(r.URL.Path, ".dat") || strings.HasSuffix(r.URL.Path, manifest.Name)) && h.draw(r) == i+1
		}
		all = append(all, host.Inject(f))
	}
	return func() (n []int) {
		for _, i := range all {
			n = append(n, i.Struck())
		}
		return n
	}
}

// hiccupFiles is how many files are fetched.
var hiccupFiles = fewer(5000)

func hiccupData() (files []lookalike.GeneratedFile) {
	for i := range hiccupFiles {
		files = append(files, file(fmt.Sprintf("p%02d/s%05d.dat", i%50, i), 300+int64(i%97)))
	}
	return files
}

// wantUnharmed fails the test unless a pass is complete in spite of hiccups of all
// kinds.
func (r *rig) wantUnharmed(log *bytes.Buffer) {
	r.t.Helper()
	report := r.pull()
	wantFiles(r.t, report, store.Complete, store.Files{Total: int64(hiccupFiles), Fetched: int64(hiccupFiles)})
	if r.t.Failed() {
		r.t.Logf("%s", tail(log.String(), 40))
	}
	r.t.Logf("complete in %v", report.Elapsed)
}

func tail(text string, n int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}

// One answer in a hundred is a page, a refusal, an error, a cut or wrong: that costs a
// pass some requests, and no file.
func TestHiccupsOfPhysioNetCostNoFile(t *testing.T) {
	slow(t)
	s := newSite(t, ada(), guarded(hiccupData()...))
	s.Sign("ada", "demo", "1.0")
	struck := inject("physionet 26", s.Server,
		lookalike.Fault{Kind: lookalike.HTMLPage},
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusUnauthorized},
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden},
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusBadGateway},
		lookalike.Fault{Kind: lookalike.ShortBody, After: 120},
		lookalike.Fault{Kind: lookalike.Corrupt, After: 33},
		lookalike.Fault{Kind: lookalike.Reset, After: -1},
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusServiceUnavailable, RetryAfter: "1"},
	)
	var log bytes.Buffer
	r := newRig(t, rigOptions{sources: []host.Source{s.source(t, login, 8)}, log: &log, patience: patience})
	r.wantUnharmed(&log)
	wantAllStruck(t, struck())
}

// The same from S3, in its own words.
func TestHiccupsOfAmazonCostNoFile(t *testing.T) {
	slow(t)
	a := newAmazon(t, nil, withManifest(hiccupData()...)...)
	struck := inject("s3 12", a.S3,
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusServiceUnavailable, Reason: "SlowDown"},
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden, Reason: "AccessDenied"},
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusInternalServerError, Reason: "InternalError"},
		lookalike.Fault{Kind: lookalike.ShortBody, After: 55},
		lookalike.Fault{Kind: lookalike.Corrupt, After: 140},
		lookalike.Fault{Kind: lookalike.Reset, After: 10},
	)
	var log bytes.Buffer
	r := newRig(t, rigOptions{sources: []host.Source{a.source}, log: &log, patience: patience})
	r.wantUnharmed(&log)
	wantAllStruck(t, struck())
}

// The same from GCS.
func TestHiccupsOfGoogleCostNoFile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	g := newGoogle(t, gcs.Options{}, lookalike.Bucket{NoList: true}, withManifest(hiccupData()...)...)
	g.logIn(t, strings.TrimPrefix(fmt.Sprint(g.source.Source), "gcs at "))
	struck := inject("gcs 12", g.GCS,
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusServiceUnavailable},
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusUnauthorized},
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusForbidden},
		lookalike.Fault{Kind: lookalike.Status, Code: http.StatusInternalServerError},
		lookalike.Fault{Kind: lookalike.ShortBody, After: 55},
		lookalike.Fault{Kind: lookalike.Corrupt, After: 140},
	)
	var log bytes.Buffer
	r := newRig(t, rigOptions{sources: []host.Source{g.source}, log: &log, patience: patience})
	r.wantUnharmed(&log)
	wantAllStruck(t, struck())
}

// wantAllStruck fails the test if a kind of trouble was not tried.
func wantAllStruck(t *testing.T, struck []int) {
	t.Helper()
	for i, n := range struck {
		if n == 0 {
			t.Errorf("the kind %d of trouble befell nobody", i)
		}
	}
	t.Logf("hiccups by kind: %v", struck)
}
