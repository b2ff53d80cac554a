package terminal

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/cmd/mimicsync/internal/words"
)

// advance is how far a pass has come. The plain progress and status tell it in the same words.
type advance struct {
	hasVersion         bool // the version is known
	total, done        int64
	fetched, expected  int64 // bytes
	rate               int64 // bytes per second; negative: not worth telling
	left               time.Duration
	connections, limit int64 // limit is 0 where it isn't known
	retries, failed    int64
}

// parts returns the parts of a line.
func (a advance) parts() []string {
	if a.total == 0 {
		return []string{asking(a.hasVersion, a.connections, a.retries)}
	}
	got := words.Size(a.fetched)
	if a.expected > a.fetched {
		got += " of " + words.Size(a.expected)
	}
	parts := []string{fmt.Sprintf("%s of %s files", humanize.Comma(a.done), humanize.Comma(a.total)), got}
	if a.rate >= 0 {
		parts = append(parts, words.Size(a.rate)+"/s")
	}
	if a.left > 0 {
		parts = append(parts, "about "+words.Elapsed(a.left)+" left")
	}
	switch {
	case a.connections > 0 && a.limit > 0:
		parts = append(parts, fmt.Sprintf("%d of %s", a.connections, words.Plural(a.limit, "connection", "connections")))
	case a.connections > 0:
		parts = append(parts, words.Plural(a.connections, "connection", "connections"))
	}
	if a.retries > 0 {
		parts = append(parts, words.Plural(a.retries, "retry", "retries"))
	}
	if a.failed > 0 {
		parts = append(parts, humanize.Comma(a.failed)+" failed")
	}
	return parts
}
