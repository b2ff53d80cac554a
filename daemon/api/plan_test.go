package api

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/report"
)

// A person asks what a pull would do, pulls, and has the former version removed.
func TestPlanAndPruneByTheDaemon(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	_, client := l.run(t)
	p, err := client.Plan(t.Context(), PullRequest{Dataset: "demo"})
	if err != nil || p.Version != "1.0" || p.Fetch != demoFiles || len(p.Sources) != 1 || p.Sources[0].Cost == nil || p.Sources[0].Rate != nil {
		t.Errorf("Plan = %+v, %v", p, err)
	}
	pull := func() {
		t.Helper()
		id, err := client.Pull(t.Context(), PullRequest{Dataset: "demo"})
		must(t, err)
		if p := follow(t, client, id); p.ExitCode != 0 {
			t.Fatalf("the pass ended as %+v", p)
		}
	}
	pull()
	files := lookalike.Generated(lookalike.CXR(demoFiles, func(int) int64 { return 5000 }))
	l.Publish(lookalike.Project{Slug: "demo", Title: "Demo", Policy: lookalike.Open, Versions: []lookalike.Version{
		{Version: "1.1", Files: files, Manifest: files.Manifest(), Bytes: files.Bytes()},
	}})
	pull()
	for _, dry := range []bool{true, false} {
		pruned, err := client.Prune(t.Context(), PruneRequest{Dataset: "demo", DryRun: dry})
		if err != nil || len(pruned) != 1 || pruned[0].Version != "1.0" || pruned[0].Files != demoFiles || pruned[0].Shared != demoFiles {
			t.Errorf("Prune, dry run %v: %+v, %v", dry, pruned, err)
		}
	}
	if pruned, err := client.Prune(t.Context(), PruneRequest{}); err != nil || len(pruned) != 0 {
		t.Errorf("Prune again = %+v, %v, want nothing", pruned, err)
	}
}

// What is refused has its code, and what the command line would do about it.
func TestRefusedPlansAndPrunes(t *testing.T) {
	t.Parallel()
	_, client := newLab(t).run(t)
	wantError := func(what string, err error, code, exit int, text string) {
		t.Helper()
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Code != code || e.ExitCode != exit || !strings.Contains(e.Text+" "+e.Hint, text) {
			t.Errorf("%s: %#v (%v), want code %d, exit code %d and %q", what, e, err, code, exit, text)
		}
	}
	_, err := client.Plan(t.Context(), PullRequest{Dataset: "nothing"})
	wantError("a plan of what is not there", err, http.StatusInternalServerError, 4, "sign it")
	_, err = client.Plan(t.Context(), PullRequest{Dataset: "demo", Sources: []string{"attic"}})
	wantError("a plan from nowhere", err, http.StatusConflict, 0, `"attic" is none of physionet`)
	_, err = client.Prune(t.Context(), PruneRequest{Version: "1.0"})
	wantError("a version of nothing", err, http.StatusBadRequest, 0, "openapi.json")
	below := -1
	_, err = client.Prune(t.Context(), PruneRequest{Keep: &below})
	wantError("fewer than none to keep", err, http.StatusBadRequest, 0, "keep is -1")
	id, err := client.Pull(t.Context(), PullRequest{Dataset: "demo"})
	must(t, err)
	follow(t, client, id)
	_, err = client.Prune(t.Context(), PruneRequest{Dataset: "demo", Version: "1.0"})
	wantError("the only version", err, http.StatusConflict, 0, "demo@1.0 is the newest version")
}

// What was removed before the second version failed is gone, and said.
func TestAPruneThatFailsOnTheWay(t *testing.T) {
	gone := []*report.Pruned{{Dataset: "demo", Version: "1.0", Files: 3}}
	s := Server{o: Options{Advise: func(error) (int, string) { return 1, "" }}}
	for err, code := range map[error]int{errors.New("read-only"): http.StatusInternalServerError, daemon.ErrBusy: http.StatusLocked, daemon.ErrOtherJob: http.StatusLocked} {
		got, p := s.answer(&partError{err, gone})
		if got != code || p.Error != err.Error() || len(p.Pruned) != 1 || p.Pruned[0].Version != "1.0" {
			t.Errorf("answer(%v) = %d, %+v, want %d and what is gone", err, got, p, code)
		}
	}
}

// What takes an hour is answered after it, and ends with its client.
func TestWhatTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan time.Time, 1)
		serve := unhurried(func(_ *Server, w http.ResponseWriter, r *http.Request) error {
			select {
			case <-time.After(time.Hour):
				writeJSON(w, http.StatusOK, Accepted{})
			case <-r.Context().Done():
				gone <- time.Now()
			}
			return nil
		})
		l := listen(t, "127.0.0.1:8765", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = serve(nil, w, r) }))
		ask := func() (*http.Response, error) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/", strings.NewReader("{}"))
			must(t, err)
			return l.client().Do(r)
		}
		if response, err := ask(); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("after an hour: %v, %v, want an answer", response, err)
		} else {
			_ = response.Body.Close()
		}
		conn := l.dial()
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		must(t, err)
		time.Sleep(10 * time.Minute)
		left := time.Now()
		_ = conn.Close()
		if ended := <-gone; ended != left {
			t.Errorf("the work ended at %v, want %v, when the client left", ended, left)
		}
	})
}
