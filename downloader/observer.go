package downloader

import (
	"time"

	"mimicsync/downloader/retry"
)

// Observer hears what passes do, for metrics. Its methods are called from many
// goroutines, often, and must not wait.
type Observer interface {
	// Requested says how a request to a source ended, with its body: "ok",
	// "not_modified", "refused" (429, 503), "denied", "not_found", "error". One
	// that was broken off here, by whoever no longer wanted it, is not counted.
	Requested(source, outcome string)
	// Received counts body bytes: once for a small file, and for others a few
	// times a second for each connection.
	Received(source string, n int64)
	// Committed says how many files a commit made, and how long it took.
	Committed(files int, took time.Duration)
	// Retried counts attempts after the first.
	Retried(source string)
}

// unobserved is the Observer where there is none.
type unobserved struct{}

func (unobserved) Requested(string, string)     {}
func (unobserved) Received(string, int64)       {}
func (unobserved) Committed(int, time.Duration) {}
func (unobserved) Retried(string)               {}

// answered lets the observer know how a request ended.
func (s *Syncer) answered(source string, err error) {
	if outcome := retry.OutcomeOf(err); outcome != "" {
		s.Observer.Requested(source, outcome)
	}
}
