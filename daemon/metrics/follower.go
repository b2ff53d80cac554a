package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mimicsync/daemon"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mimicsync_"+name, help, labels, nil)
}

// The values of a status. Unknown values have no series, nor does a missing mirror: an
// alert on 0 would be about the year 1970, or a full disk.
var (
	buildInfo = describe("build_info", "1, with the program's version.", "version")
	present   = describe("mirror_present", "Whether the mirror's folder exists; 0 while its disk isn't mounted.")
	started   = describe("start_timestamp_seconds", "When the daemon started.")
	paused    = describe("paused", "Whether all datasets are paused.")
	open      = describe("window_open", "Whether the run window is open.")
	free      = describe("free_bytes", "Free bytes on the mirror's disk.")
	rate      = describe("receive_rate_bytes_per_second", "Bytes per second received by all passes, over the last seconds.")
	limit     = describe("bandwidth_limit_bytes_per_second", "The current bandwidth limit, 0 for none.")
	running   = describe("passes_running", "Running passes, by kind.", "kind")

	hostUsed    = describe("host_connections", "Connections to a source's host in use.", "source")
	hostLimit   = describe("host_connections_limit", "Connections to a source's host that are allowed at this moment.", "source")
	hostCeiling = describe("host_connections_ceiling", "The most connections that are ever opened to a source's host.", "source")

	condition   = describe("dataset_condition", "1 for the current condition of a dataset, 0 for the others.", "dataset", "condition")
	files       = describe("dataset_files", "Files of the manifest by state: verified, or missing from the mirror.", "dataset", "state")
	failed      = describe("dataset_failed_files", "Files that failed in the last pass, by reason; at most the first 10,000.", "dataset", "reason")
	bytesHere   = describe("dataset_bytes", "Verified bytes in the mirror.", "dataset")
	published   = describe("dataset_published_bytes", "Bytes of the whole version.", "dataset")
	remaining   = describe("dataset_remaining_bytes", "Bytes that the running pass has yet to fetch; 0 if none runs, or if that is unknown.", "dataset")
	lastSuccess = describe("dataset_last_success_timestamp_seconds", "When the last complete pass ended.", "dataset")
	nextRefresh = describe("dataset_next_refresh_timestamp_seconds", "When the schedule starts the next refresh.", "dataset")
	waiting     = describe("dataset_waiting", "Whether the pass of a dataset can do nothing but wait for a source.", "dataset", "source")
	waitUntil   = describe("dataset_wait_until_timestamp_seconds", "When a waiting dataset continues or is tried again.", "dataset")
)

var conditions = []daemon.Condition{
	daemon.Idle, daemon.Queued, daemon.Running, daemon.Closed, daemon.Paused, daemon.Parked, daemon.Failing, daemon.Limited, daemon.NoSpace,
}

var kinds = []daemon.Kind{daemon.RefreshPass, daemon.PullPass, daemon.VerifyPass, daemon.ScrubPass}

// follower reads a status at each scrape.
type follower struct{ status func() daemon.Status }

// Describe implements prometheus.Collector.
func (follower) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		buildInfo, present, started, paused, open, free, rate, limit, running, hostUsed, hostLimit, hostCeiling,
		condition, files, failed, bytesHere, published, lastSuccess, nextRefresh, waiting, waitUntil,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f follower) Collect(ch chan<- prometheus.Metric) {
	s, g := f.status(), gauges(ch)
	g.set(buildInfo, 1, s.Program)
	g.set(present, truth(!s.Started.IsZero()))
	if s.Started.IsZero() {
		return
	}
	g.since(started, s.Started)
	g.set(paused, truth(s.Paused))
	g.set(open, truth(s.Window.Open))
	g.set(free, float64(s.Free))
	g.set(rate, float64(s.Rate))
	g.set(limit, float64(s.BytesLimit))
	passes := map[daemon.Kind]float64{}
	for i := range s.Datasets {
		if p := s.Datasets[i].Pass; p != nil {
			passes[p.Kind]++
		}
		g.dataset(&s.Datasets[i])
		g.wait(&s.Datasets[i], s.Hosts)
	}
	for _, k := range kinds {
		g.set(running, passes[k], string(k))
	}
	for _, h := range s.Hosts {
		g.set(hostUsed, float64(h.Used), h.Source)
		g.set(hostLimit, float64(h.Limit), h.Source)
		g.set(hostCeiling, float64(h.Ceiling), h.Source)
	}
}

// gauges receives the values of one scrape.
type gauges chan<- prometheus.Metric

func (g gauges) set(d *prometheus.Desc, value float64, labels ...string) {
	g <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// since sets a point in time, if it is known.
func (g gauges) since(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		g.set(d, float64(t.UnixMilli())/1000, labels...)
	}
}

func (g gauges) dataset(s *daemon.DatasetStatus) {
	for _, c := range conditions {
		g.set(condition, truth(s.Condition == c), s.Dataset, string(c))
	}
	g.set(files, float64(s.Files), s.Dataset, "verified")
	g.set(files, float64(max(s.Entries-s.Files, 0)), s.Dataset, "missing")
	g.set(bytesHere, float64(s.Bytes), s.Dataset)
	if s.Published > 0 {
		g.set(published, float64(s.Published), s.Dataset)
	}
	left := 0.0
	if p := s.Pass; p != nil {
		left = float64(max(p.Expected-p.Fetched, 0))
	}
	g.set(remaining, left, s.Dataset)
	g.since(lastSuccess, s.LastSuccess, s.Dataset)
	g.since(nextRefresh, s.Next, s.Dataset)
	if s.Last == nil {
		return
	}
	reasons := map[string]float64{}
	for _, f := range s.Last.Failures {
		reasons[f.Reason]++
	}
	for reason, n := range reasons {
		g.set(failed, n, s.Dataset, reason)
	}
}

// wait says which source a dataset waits for, and until when.
func (g gauges) wait(s *daemon.DatasetStatus, hosts []daemon.Host) {
	w := s.Waiting
	for _, h := range hosts { // other waits are conditions
		g.set(waiting, truth(w != nil && w.For == h.Source), s.Dataset, h.Source)
	}
	if w != nil {
		g.since(waitUntil, w.Until, s.Dataset)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
