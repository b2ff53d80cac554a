package metrics_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"mimicsync/daemon"
	"mimicsync/daemon/metrics"
	"mimicsync/downloader/progress"
	"mimicsync/store"
)

// busy is a daemon with something of everything.
func busy() daemon.Status {
	now := time.Unix(1_790_000_000, 0)
	return daemon.Status{
		Program: "1.4.0", Started: now.Add(-time.Hour), Free: 5e12, Rate: 3e6, BytesLimit: 1e7, Window: daemon.Window{Open: true},
		Hosts: []daemon.Host{{Source: "physionet", Used: 5, Limit: 6, Ceiling: 8}},
		Datasets: []daemon.DatasetStatus{
			{
				Dataset: "mimic-cxr", Condition: daemon.Running, Entries: 605_000, Files: 369_050, Bytes: 28e11, Published: 46e11,
				Next: now.Add(time.Hour), LastSuccess: now.Add(-48 * time.Hour), Pass: &daemon.PassStatus{Kind: daemon.RefreshPass},
				Last: &daemon.PassStatus{State: store.Incomplete, Failures: []store.Failure{{Reason: "checksum"}, {Reason: "checksum"}}},
			},
			{
				Dataset: "mimiciv", Condition: daemon.Parked,
				Waiting: &progress.Wait{For: "someone to act", Why: "the agreement is not signed", Until: now.Add(time.Hour)},
			},
		},
	}
}

// feed lets each counter have a series.
func feed(m *metrics.Metrics) {
	m.Requested("physionet", "ok")
	m.Requested("physionet", "refused")
	m.Received("physionet", 1000)
	m.Received("physionet", 24)
	m.Committed(300, 20*time.Millisecond)
	m.Retried("physionet")
}

func get(t *testing.T, h http.Handler, path string) (code int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

// away is what is known while the mirror's disk is not mounted.
func away() daemon.Status { return daemon.Status{Program: "1.4.0", Mirror: "/data/physionet"} }

// scrape is what Prometheus reads of a daemon.
func scrape(t *testing.T, status func() daemon.Status) string {
	t.Helper()
	m := metrics.New()
	m.Follow(status)
	feed(m)
	code, body := get(t, m.Handler(func() error { return nil }), "/metrics")
	if code != http.StatusOK {
		t.Fatalf("GET /metrics = %d\n%s", code, body)
	}
	return body
}

func TestScrape(t *testing.T) {
	body := scrape(t, busy)
	for _, want := range []string{
		`mimicsync_build_info{version="1.4.0"} 1`,
		`mimicsync_mirror_present 1`,
		`mimicsync_source_requests_total{outcome="refused",source="physionet"} 1`,
		`mimicsync_source_received_bytes_total{source="physionet"} 1024`,
		`mimicsync_source_retries_total{source="physionet"} 1`,
		`mimicsync_committed_files_total 300`,
		`mimicsync_commit_duration_seconds_count 1`,
		`mimicsync_host_connections{source="physionet"} 5`,
		`mimicsync_passes_running{kind="refresh"} 1`,
		`mimicsync_passes_running{kind="scrub"} 0`,
		`mimicsync_dataset_condition{condition="running",dataset="mimic-cxr"} 1`,
		`mimicsync_dataset_condition{condition="parked",dataset="mimic-cxr"} 0`,
		`mimicsync_dataset_files{dataset="mimic-cxr",state="missing"} 235950`,
		`mimicsync_dataset_failed_files{dataset="mimic-cxr",reason="checksum"} 2`,
		`mimicsync_dataset_last_success_timestamp_seconds{dataset="mimic-cxr"} 1.7898272e+09`,
		`mimicsync_dataset_waiting{dataset="mimiciv",source="physionet"} 0`, // but for a person
		`mimicsync_dataset_wait_until_timestamp_seconds{dataset="mimiciv"} 1.7900036e+09`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	if strings.Contains(body, `last_success_timestamp_seconds{dataset="mimiciv"}`) {
		t.Error("a dataset without success has a time of its last success")
	}

	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
}

// held is a daemon whose only pass can do nothing but wait for PhysioNet.
func held() daemon.Status {
	s := busy()
	s.Hosts = append(s.Hosts, daemon.Host{Source: "gcs"})
	s.Datasets = s.Datasets[:1]
	s.Datasets[0].Last = nil
	s.Datasets[0].Waiting = &progress.Wait{For: "physionet", Why: "status 429 (too many requests)"}
	return s
}

func TestScrapeOfAWait(t *testing.T) {
	body := scrape(t, held)
	for _, want := range []string{
		`mimicsync_dataset_waiting{dataset="mimic-cxr",source="physionet"} 1`,
		`mimicsync_dataset_waiting{dataset="mimic-cxr",source="gcs"} 0`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	if strings.Contains(body, "mimicsync_dataset_wait_until_timestamp_seconds{") {
		t.Error("a wait of which nobody knows the end has one")
	}
}

// While the mirror is gone nobody knows how full its disk is, nor what would run.
func TestScrapeWithoutAMirror(t *testing.T) {
	body := scrape(t, away)
	for _, want := range []string{`mimicsync_build_info{version="1.4.0"} 1`, `mimicsync_mirror_present 0`} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	for name := range exposed(t, away) {
		switch {
		case !strings.HasPrefix(name, "mimicsync_"), name == "mimicsync_build_info", name == "mimicsync_mirror_present":
		case strings.HasPrefix(name, "mimicsync_source_"), strings.HasPrefix(name, "mimicsync_commit"): // of the process
		default:
			t.Errorf("%s is known of a mirror that is away", name)
		}
	}
}

func TestHealth(t *testing.T) {
	gone := errors.New("the mirror's folder is gone; mount the disk")
	var ready error
	h := metrics.New().Handler(func() error { return ready })
	if code, body := get(t, h, "/readyz"); code != http.StatusOK || body != "ready\n" {
		t.Errorf("GET /readyz = %d %q, want 200 ready", code, body)
	}
	ready = gone
	if code, body := get(t, h, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, gone.Error()) {
		t.Errorf("GET /readyz = %d %q, want 503 with the reason", code, body)
	}
	if code, body := get(t, h, "/healthz"); code != http.StatusOK || body != "alive\n" {
		t.Errorf("GET /healthz = %d %q, want 200 alive, ready or not", code, body)
	}
}
