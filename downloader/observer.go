package downloader

import (
	"time"

	"mimicsync/downloader/retry"
)

// Observer is told what passes do, for metrics. Its methods are called often, by many
// goroutines, and must not block.
type Observer interface {
	// Requested says how a request to a source ended, with its body: "ok", "not_modified",
	// "refused" (429, 503), "denied", "not_found", "error". Requests canceled by the pass
	// are not counted.
	Requested(source, outcome string)
	// Received counts body bytes: once for a small file, a few times a second per
	// connection for others.
	Received(source string, n int64)
	// Committed says how many files a commit contained, and how long it took.
	Committed(files int, took time.Duration)
	// Retried counts attempts after the first.
	Retried(source string)
}

// unobserved is the default Observer.
type unobserved struct{}

func (unobserved) Requested(string, string)     {}
func (unobserved) Received(string, int64)       {}
func (unobserved) Committed(int, time.Duration) {}
func (unobserved) Retried(string)               {}

// answered tells the observer how a request ended.
func (s *Syncer) answered(source string, err error) {
	if outcome := retry.OutcomeOf(err); outcome != "" {
		s.Observer.Requested(source, outcome)
	}
}
