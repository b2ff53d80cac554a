// Package words puts numbers, times and names into the words of messages and tables, and
// keeps hostile names from controlling the terminal.
package words

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes in decimal units, like "2.3 MB".
func Size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// Count is a number of things whose plural ends in s, like "1,523 files".
func Count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return humanize.Comma(n) + " " + what + "s"
}

// Plural is a number of things with both of their forms, like "3 retries".
func Plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(n) + " " + many
}

// Elapsed rounds a time to the precision that people care about.
func Elapsed(d time.Duration) string {
	switch {
	case d < time.Second:
		return max(d.Round(time.Millisecond), time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(math.Mod(d.Minutes(), 60)))
}

// Roughly is an estimated time.
func Roughly(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%d s", max(int(d.Seconds()), 1))
	case d < 90*time.Minute:
		return fmt.Sprintf("%d min", int(math.Round(d.Minutes())))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(math.Round(d.Hours())))
	}
	return fmt.Sprintf("%d days", int(math.Round(d.Hours()/24)))
}

// Countdown is a time left, to the second where that is useful.
func Countdown(left time.Duration) string {
	switch {
	case left < time.Hour:
		return left.Round(time.Second).String()
	case left < 48*time.Hour:
		return Elapsed(left.Round(time.Minute))
	}
	return Count(int64(math.Round(left.Hours()/24)), "day")
}

// Clock is a time of day, with the day unless it is the next such time.
func Clock(t, now time.Time) string {
	away := t.Sub(now).Abs()
	t = t.Local()
	switch {
	case away < time.Hour:
		return t.Format(time.TimeOnly)
	case away < 18*time.Hour:
		return t.Format("15:04")
	case away < 6*24*time.Hour:
		return t.Format("Mon 15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// Moment is a local time to the minute, like "2026-03-03 19:01".
func Moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// After is a word at the end of a command, if there is one.
func After(word string) string {
	if word == "" {
		return ""
	}
	return " " + word
}

// Cut shortens a text to this many characters.
func Cut(text string, room int) string {
	runes := []rune(text)
	if len(runes) <= room {
		return text
	}
	return strings.TrimRight(string(runes[:max(room-1, 0)]), " :;,") + "…"
}

// Printable keeps a hostile name from controlling the terminal, and from looking like more
// than one line.
func Printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || r == utf8.RuneError }) {
		return strconv.Quote(name)
	}
	return name
}

// Tame does so for text of several lines and columns, some of which may be a server's: it
// makes control characters visible.
func Tame(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || unicode.IsGraphic(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// ShellQuote quotes an argument for a shell.
func ShellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/._-+,:@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Wrap breaks a text between words. It begins after an indent.
func Wrap(words []string, width int, indent string) string {
	if width < len(indent)+20 {
		return strings.Join(words, " ")
	}
	var b strings.Builder
	at := len(indent)
	for i, word := range words {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
