package dashboard_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mimicsync/daemon"
	"mimicsync/daemon/dashboard"
	"mimicsync/downloader/progress"
	"mimicsync/store"
)

// still is the page of a status on a Monday, as a person who may change nothing
// sees it.
func still(s daemon.Status) http.Handler {
	s.Now = monday
	return dashboard.Still(s, nil, nil, nil, false)
}

func get(t *testing.T, h http.Handler, path string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Result()
}

// read returns the text that a page shows, with single spaces.
func read(t *testing.T, r *http.Response) string {
	t.Helper()
	var text strings.Builder
	for tokens, skip := html.NewTokenizer(r.Body), ""; ; {
		switch tokens.Next() {
		case html.ErrorToken:
			if err := tokens.Err(); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return strings.Join(strings.Fields(strings.ReplaceAll(text.String(), "\u00a0", " ")), " ")
		case html.StartTagToken:
			if name, _ := tokens.TagName(); string(name) == "datalist" {
				skip = "datalist"
			}
		case html.EndTagToken:
			if name, _ := tokens.TagName(); string(name) == skip {
				skip = ""
			}
		case html.TextToken:
			if skip == "" {
				text.Write(tokens.Text())
				text.WriteByte(' ')
			}
		}
	}
}

func TestHeadline(t *testing.T) {
	fetching := func(left time.Duration) daemon.DatasetStatus {
		return daemon.DatasetStatus{
			Dataset: "mimic-cxr", Condition: daemon.Running, Scheduled: true, Entries: 100, Files: 50, Bytes: 61e9, Published: 1e11,
			Pass: &daemon.PassStatus{ID: 1, Kind: daemon.RefreshPass, Phase: progress.PhaseTransfer, Left: int64(left.Seconds())},
		}
	}
	one := func(d daemon.DatasetStatus) daemon.Status {
		return daemon.Status{Window: daemon.Window{Open: true}, Datasets: []daemon.DatasetStatus{d}}
	}
	closing := one(fetching(9 * time.Hour))
	closing.Window.Changes = monday.Add(7 * time.Hour)
	paused := one(daemon.DatasetStatus{Dataset: "own", Condition: daemon.Paused})
	paused.Paused = true
	two := one(fetching(time.Hour))
	two.Datasets = append(two.Datasets, fetching(3*time.Hour))
	two.Datasets[1].Dataset = "mimiciv"
	parked := one(daemon.DatasetStatus{Dataset: "mimiciv", Condition: daemon.Parked})
	selection := one(fetching(2 * time.Minute))
	selection.Datasets[0].Pass.Total, selection.Datasets[0].Pass.Done = 20, 5
	halfCome := one(fetching(2 * time.Minute))
	halfCome.Datasets[0].Published, halfCome.Datasets[0].Bytes = 0, 30e9
	halfCome.Datasets[0].Pass.Expected, halfCome.Datasets[0].Pass.Fetched = 50e9, 20e9
	beginning := func(connections, retries int64) daemon.Status {
		s := one(fetching(0))
		p := s.Datasets[0].Pass
		p.Phase, p.Connections, p.Retries = progress.PhaseManifest, connections, retries
		return s
	}

	for _, c := range []struct {
		status daemon.Status
		want   string
	}{
		{daemon.Status{}, "This mirror is empty."},
		{one(fetching(70*time.Hour + 18*time.Minute)), "MIMIC-CXR: 61% downloaded, done Thursday around 14:00 ."},
		{one(fetching(20 * time.Minute)), "MIMIC-CXR: 61% downloaded, done in about 20 minutes ."},
		{one(fetching(2 * time.Hour)), "MIMIC-CXR: 61% downloaded, done today around 17:40 ."},
		{one(fetching(10 * time.Hour)), "MIMIC-CXR: 61% downloaded, done tomorrow around 01:45 ."},
		{one(fetching(90 * 24 * time.Hour)), "MIMIC-CXR: 61% downloaded, done around 21 February 2027 ."},
		{one(fetching(0)), "MIMIC-CXR: 61% downloaded. Downloading."},
		{beginning(0, 0), "MIMIC-CXR: 61% downloaded. Waiting for its turn."},
		{beginning(1, 2), "MIMIC-CXR: 61% downloaded. Fetching the manifest."},
		{beginning(0, 2), "MIMIC-CXR: 61% downloaded. Waiting to retry the manifest."},
		{closing, "MIMIC-CXR: 61% downloaded. The run window closes at 22:42 ; the rest follows in the next one."},
		{selection, "MIMIC-CXR: 25% downloaded, done in about 2 minutes ."},
		{halfCome, "MIMIC-CXR: 50% downloaded, done in about 2 minutes ."},
		{two, "2 datasets are downloading. MIMIC-IV finishes last, today around 18:40 ."},
		{paused, "All downloads are paused."},
		{parked, "MIMIC-IV: waiting for you."},
		{one(daemon.DatasetStatus{Dataset: "own", Condition: daemon.Idle, Entries: 3, Files: 3}), "Everything is downloaded and verified."},
		{one(daemon.DatasetStatus{Dataset: "own", Condition: daemon.Closed, Entries: 3, Files: 1}), "own: waiting for the run window."},
	} {
		if text := read(t, get(t, still(c.status), "/")); !strings.Contains(text, c.want) {
			t.Errorf("the page does not say %q:\n%s", c.want, text)
		}
	}
}

// A cure is something to click on, or to type.
func TestCures(t *testing.T) {
	r := get(t, still(daemon.Status{Datasets: []daemon.DatasetStatus{{
		Dataset: "mimiciv", Condition: daemon.Parked, Why: "the agreement is not signed",
		Cure: "sign it: https://physionet.org/sign-dua/mimiciv/3.1/\nthen say so: mimicsync pull mimiciv\nor ask your administrator",
	}}}), "/")
	page, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<p>The agreement is not signed.</p>`,
		`Sign it: <a href="https://physionet.org/sign-dua/mimiciv/3.1/" rel="noreferrer">`,
		`Then say so: <code>mimicsync pull mimiciv</code>`,
		`Or ask your administrator.`,
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// What a verification found right is not all that there is.
func TestIncompleteButRight(t *testing.T) {
	s := daemon.DatasetStatus{
		Dataset: "mimic-cxr", Condition: daemon.Idle, Entries: 3000, Files: 300, Bytes: 10e9, Published: 1e11,
		Last: &daemon.PassStatus{Kind: daemon.VerifyPass, State: store.Complete},
	}
	page := func() string { return read(t, get(t, still(daemon.Status{Datasets: []daemon.DatasetStatus{s}}), "/")) }
	if page := page(); strings.Contains(page, "Up to date") || !strings.Contains(page, "10.0%") {
		t.Errorf("a tenth of a dataset: %s", page)
	}
	s.Complete = true // of what the configuration selects
	if page := page(); !strings.Contains(page, "Up to date") {
		t.Errorf("all that is selected: %s", page)
	}
}

// What is paused is not verified by the schedule either.
func TestAPauseHoldsTheScrubBack(t *testing.T) {
	s := daemon.DatasetStatus{Dataset: "mimiciv", Version: "3.1", Condition: daemon.Idle, NextScrub: monday.AddDate(0, 0, 1)}
	page := func() string { return read(t, get(t, still(daemon.Status{Datasets: []daemon.DatasetStatus{s}}), "/")) }
	if page := page(); !strings.Contains(page, "Next scrub") {
		t.Errorf("an idle dataset: %s", page)
	}
	s.Condition = daemon.Paused
	if page := page(); strings.Contains(page, "Next scrub") {
		t.Errorf("a paused dataset: %s", page)
	}
}

// A person without the token sees everything, and buttons that are of no use yet.
func TestLocked(t *testing.T) {
	hour, days := labTraffic()
	for _, mayChange := range []bool{false, true} {
		r := get(t, dashboard.Still(labStatus(), hour, days, labHistory(), mayChange), "/")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		page := string(body)
		if got := strings.Contains(page, ` action="/login"`); got == mayChange {
			t.Errorf("with the right to change %v, the page asks for the token: %v", mayChange, got)
		}
		if got := strings.Count(page, `title="Unlock changes first"`) > 0; got == mayChange {
			t.Errorf("with the right to change %v, buttons are locked: %v", mayChange, got)
		}
	}
}

// The guard stands before the page. If it were forgotten, nobody could change
// anything.
func TestNoChangeWithoutGuard(t *testing.T) {
	for _, verb := range []string{"pull", "pause", "resume", "cancel"} {
		w := httptest.NewRecorder()
		still(daemon.Status{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/"+verb, nil))
		if text := read(t, w.Result()); w.Code != http.StatusForbidden || !strings.Contains(text, "Unlock changes first") {
			t.Errorf("POST /%s = %d, want 403 and a page that says why:\n%s", verb, w.Code, text)
		}
	}
}

// What the network says may stand on the page, but only as text.
func TestHostileWords(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	r := get(t, still(daemon.Status{
		Mirror: evil, BWLimit: evil, Hosts: []daemon.Host{{Source: evil, Why: evil}},
		Datasets: []daemon.DatasetStatus{{
			Dataset: evil, Version: evil, Condition: daemon.Parked, Why: evil, Cure: "open: javascript:alert(1)",
			Last: &daemon.PassStatus{Failures: []store.Failure{{Path: evil, Reason: evil, Source: evil, Detail: evil}}},
		}},
	}), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if page := string(body); strings.Contains(page, evil) || strings.Contains(page, "<script>") || strings.Contains(page, `href="javascript`) {
		t.Errorf("hostile text is markup:\n%s", page)
	}
}

func TestHeaders(t *testing.T) {
	h := still(daemon.Status{})
	for _, path := range []string{"/", "/assets/style.css", "/assets/live.js", "/assets/icon.svg"} {
		r := get(t, h, path)
		if r.StatusCode != http.StatusOK {
			t.Errorf("GET %s = %s", path, r.Status)
		}
		if csp := r.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") {
			t.Errorf("GET %s: Content-Security-Policy: %s", path, csp)
		}
	}
	for _, path := range []string{"/files/x.csv", "/assets/", "/assets/../dashboard.go", "/mimic-iv-demo/2.2/LICENSE.txt"} {
		if r := get(t, h, path); r.StatusCode == http.StatusOK {
			t.Errorf("GET %s = 200: nothing but the page is served", path)
		}
	}
}

// A browser that opens the page again and again cannot have it rendered for more
// readers than there is room for.
func TestLiveReadersAreBounded(t *testing.T) {
	server := httptest.NewServer(still(daemon.Status{}))
	defer server.Close()
	for n := range dashboard.MaxLive + 1 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if got, want := response.StatusCode == http.StatusOK, n < dashboard.MaxLive; got != want {
			t.Fatalf("reader %d: %s", n+1, response.Status)
		}
	}
}

// A host may ask for fewer connections than are open.
func TestConnections(t *testing.T) {
	page := read(t, get(t, still(daemon.Status{Hosts: []daemon.Host{
		{Source: "physionet", Used: 8, Limit: 4, Ceiling: 8, Why: "it was busy"}, {Source: "gcs", Used: 1, Limit: 2, Ceiling: 64},
	}}), "/"))
	for _, want := range []string{"8 connections in use, falling to 4, at most 8", "1 of 2 connections in use, at most 64"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q: %s", want, page)
		}
	}
}

// The history does not say twice that a pass was interrupted.
func TestInterruptedInHistory(t *testing.T) {
	page := read(t, get(t, dashboard.Still(daemon.Status{Now: monday}, nil, nil, []daemon.PassStatus{
		{ID: 1, Kind: daemon.PullPass, Dataset: "demo", State: store.Interrupted, Start: monday, Error: "interrupted: it was paused"},
	}, false), "/"))
	if want := "Interrupted It was paused."; !strings.Contains(page, want) {
		t.Errorf("the page lacks %q: %s", want, page)
	}
}
