package downloader_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/store"
)

// newStrangeSite is a site some of whose answers are given by hook, which returns
// false where the look-alike shall answer.
func newStrangeSite(t testing.TB, hook func(http.ResponseWriter, *http.Request) bool, projects ...lookalike.Project) *site {
	t.Helper()
	l := lookalike.New(projects...)
	l.Record = true
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hook(w, r) {
			l.ServeHTTP(w, r)
		}
	}))
	l.Attach(h.Config)
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	h.StartTLS()
	t.Cleanup(func() {
		l.Close()
		h.Close()
	})
	return &site{Server: l, url: h.URL}
}

// isManifest reports whether a request is for the manifest.
func isManifest(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/SHA256SUMS.txt") }

// flaky is a manifest under one ETag that comes as another text the first times.
type flaky struct {
	mu    sync.Mutex
	texts []string // one after the other; the last one for ever
	whole int      // answers with a body
	same  int      // answers that nothing has changed
}

func (f *flaky) answer(w http.ResponseWriter, r *http.Request) bool {
	if !isManifest(r) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("ETag", `"6650-one"`)
	if r.Header.Get("If-None-Match") != "" {
		f.same++
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	text := f.texts[0]
	if len(f.texts) > 1 {
		f.texts = f.texts[1:]
	}
	f.whole++
	_, _ = w.Write([]byte(text))
	return true
}

// A manifest that was damaged on its way looks like one: what it says of a file is
// wrong, and its source says for ever that it has not changed.
func TestADamagedManifestDoesNotStay(t *testing.T) {
	a, b := file("a", 3000), file("labs.csv", 5000)
	good := sums(a, b)
	for _, tt := range []struct{ name, bad string }{
		{"a digest", strings.Replace(good, good[:4], "0000", 1)},
		{"a name", strings.Replace(good, "labs.csv", "lebs.csv", 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			f := &flaky{texts: []string{tt.bad, good}}
			r := newRig(t, rigOptions{site: newStrangeSite(t, f.answer, project(a, b))})
			wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Fetched: 2})
			r.has(a, b)
		})
	}
}

// Where the source itself lists what it has not, its manifest comes once more, and
// then only when it changes: it may have 200 MB.
func TestAWrongManifestIsNotFetchedForEver(t *testing.T) {
	a := file("a", 3000)
	f := &flaky{texts: []string{sums(a, file("never-published", 10))}}
	r := newRig(t, rigOptions{site: newStrangeSite(t, f.answer, project(a))})
	for range 4 {
		if report := r.pull(); report.State != store.Incomplete {
			t.Errorf("Pull = %+v, want incomplete", report)
		}
		r.reopen()
	}
	if f.whole != 2 || f.same < 2 || f.same > 2*4 {
		t.Errorf("the manifest came %d times and was unchanged %d times, want 2, and 2 to 8: each pass asks once more for what is not there", f.whole, f.same)
	}
}
