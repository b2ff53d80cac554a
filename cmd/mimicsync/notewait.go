package main

import (
	"time"

	"mimicsync/cmd/mimicsync/internal/words"
)

// progressStyle chooses how this command shows progress.
func (a *app) progressStyle() string {
	if a.quiet {
		return "none"
	}
	return a.ui.ProgressStyle(a.progress)
}

// unanswered is how long a request of a command without progress may take before the
// command says that it waits.
const unanswered = 2 * time.Second

// noteWait says whom a command waits for, if that takes long, until stop is called. limit
// is the most time for an answer.
func (a *app) noteWait(whom string, limit time.Duration) (stop func()) {
	if a.quiet {
		return func() {}
	}
	slow := time.AfterFunc(unanswered, func() {
		a.ui.Notef("waiting for %s; an answer may take up to %s", whom, words.Countdown(limit))
	})
	return func() { slow.Stop() }
}
