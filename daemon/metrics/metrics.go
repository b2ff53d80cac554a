// Package metrics reports a daemon's work to Prometheus: counters that running passes
// update, and gauges that are read from the daemon's status at each scrape. It also answers
// a supervisor's probes, alive and ready.
//
// Labels are names of sources and datasets and words of fixed lists, never paths: the
// number of series doesn't grow with a dataset. Nothing is registered with Prometheus's
// global registry.
package metrics

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"mimicsync/daemon"
	"mimicsync/downloader"
)

// Metrics is the registry of one process. It is a downloader.Observer, and safe for
// concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec
	received *prometheus.CounterVec
	retries  *prometheus.CounterVec
	files    prometheus.Counter
	commits  prometheus.Histogram
}

var _ downloader.Observer = (*Metrics)(nil)

// New returns a registry with everything that doesn't need a daemon.
func New() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("mimicsync_source_requests_total", "Requests to a source, by how they ended.", "source", "outcome"),
		received: counter("mimicsync_source_received_bytes_total", "Body bytes received from a source.", "source"),
		retries:  counter("mimicsync_source_retries_total", "Attempts after the first, by source.", "source"),
		files: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mimicsync_committed_files_total", Help: "Files verified, made durable and recorded.",
		}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mimicsync_commit_duration_seconds", Help: "How long it took to make a batch of verified files durable and record it.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // 1 ms on an SSD, up to 33 s on a busy NFS server
		}),
	}
	m.registry.MustRegister(m.requests, m.received, m.retries, m.files, m.commits,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Requested implements downloader.Observer.
func (m *Metrics) Requested(source, outcome string) {
	m.requests.WithLabelValues(source, outcome).Inc()
}

// Received implements downloader.Observer.
func (m *Metrics) Received(source string, n int64) {
	m.received.WithLabelValues(source).Add(float64(n))
}

// Committed implements downloader.Observer.
func (m *Metrics) Committed(files int, took time.Duration) {
	m.files.Add(float64(files))
	m.commits.Observe(took.Seconds())
}

// Retried implements downloader.Observer.
func (m *Metrics) Retried(source string) { m.retries.WithLabelValues(source).Inc() }

// Follow adds the values of a daemon's status. It is called once, and status at each
// scrape. A status without Started is of a daemon that waits for its mirror.
func (m *Metrics) Follow(status func() daemon.Status) {
	m.registry.MustRegister(follower{status})
}

// Handler serves GET /metrics, GET /healthz, which answers as long as the process does, and
// GET /readyz, which answers 503 with the reason while ready returns an error.
func (m *Metrics) Handler(ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			say(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
			return
		}
		say(w, http.StatusOK, "ready")
	})
	return mux
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text) // a client that is gone needs no answer
}
