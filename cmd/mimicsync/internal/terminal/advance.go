package terminal

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	parts := []string{a.files()}
	for _, part := range []string{a.bytes(), a.rateInWords(), a.leftInWords(), a.connectionsInWords(), a.retriesInWords(), a.failedInWords()} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func (a advance) files() string {
	return fmt.Sprintf("%s of %s files", humanize.Comma(a.done), humanize.Comma(a.total))
}

// bytes are those of this pass: files of earlier passes count only in files.
func (a advance) bytes() string {
	if a.fetched == 0 && a.expected == 0 {
		return ""
	}
	got := words.Size(a.fetched)
	if a.expected > a.fetched {
		got += " of " + words.Size(a.expected)
	}
	return got + " fetched"
}

func (a advance) rateInWords() string {
	if a.rate < 0 {
		return ""
	}
	return words.Size(a.rate) + "/s"
}

func (a advance) leftInWords() string {
	if a.left <= 0 {
		return ""
	}
	return "about " + words.Roughly(a.left) + " left"
}

func (a advance) connectionsInWords() string {
	switch {
	case a.connections > 0 && a.limit > 0:
		return fmt.Sprintf("%d of %s", a.connections, words.Plural(a.limit, "connection", "connections"))
	case a.connections > 0:
		return words.Plural(a.connections, "connection", "connections")
	}
	return ""
}

func (a advance) retriesInWords() string {
	if a.retries == 0 {
		return ""
	}
	return words.Plural(a.retries, "retry", "retries")
}

func (a advance) failedInWords() string {
	if a.failed == 0 {
		return ""
	}
	return humanize.Comma(a.failed) + " failed"
}

// fit returns what a line of a terminal has room for, with the title first: the parts that
// matter most stay.
func (a advance) fit(title string, room int) string {
	order := []struct {
		text  string
		place int // in the line
	}{
		{a.failedInWords(), 5}, {a.files(), 1}, {a.leftInWords(), 4}, {a.bytes(), 2}, {a.rateInWords(), 3}, {title, 0}, {a.retriesInWords(), 6},
	}
	shown := make([]string, len(order))
	length := -len(", ")
	for _, part := range order {
		if n := utf8.RuneCountInString(part.text) + len(", "); part.text != "" && length+n <= room {
			shown[part.place], length = part.text, length+n
		}
	}
	return strings.Join(slices.DeleteFunc(shown, func(s string) bool { return s == "" }), ", ")
}
