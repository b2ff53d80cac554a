package main

import (
	"time"

	"mimicsync/cmd/mimicsync/internal/words"
)

// progressStyle decides between bar, plain and none.
func (a *app) progressStyle() string {
	switch {
	case a.quiet || a.progress == "none":
		return "none"
	case a.progress == "bar" || a.progress == "plain":
		return a.progress
	case isTerminal(a.ui.stderr) && terminalWidth(a.ui.stderr) >= narrowest:
		return "bar"
	}
	return "plain"
}

// unanswered is how long a request of a command without progress may take before it
// says that it waits.
const unanswered = 2 * time.Second

// noteWait says whom a command waits for, if that takes long, until stop is called.
// limit is what an answer may take.
func (a *app) noteWait(whom string, limit time.Duration) (stop func()) {
	if a.quiet {
		return func() {}
	}
	slow := time.AfterFunc(unanswered, func() {
		a.ui.note("waiting for %s; an answer may take up to %s", whom, words.Countdown(limit))
	})
	return func() { slow.Stop() }
}
