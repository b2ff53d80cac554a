package dashboard

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"mimicsync/downloader/progress"
)

// nbsp keeps a number and its unit on one line.
const nbsp = "\u00a0"

// moment is a point in time for people and for machines.
type moment struct{ Text, Full, Machine string }

// sentence is text with at most one moment in it.
type sentence struct {
	Text string
	When *moment
	Rest string
}

// clock writes times as a reader of the page says them, at the time of the page and in
// its zone.
type clock struct{ now time.Time }

func (c clock) moment(t time.Time, text string) *moment {
	t = t.In(c.now.Location())
	return &moment{Text: text, Full: t.Format("Monday 2 January 2006, 15:04:05 MST"), Machine: t.Format(time.RFC3339)}
}

// at is a time in a sentence, such as "on Thursday at 14:00".
func (c clock) at(t time.Time) *moment {
	t = t.In(c.now.Location())
	return c.moment(t, c.day(t)+" at "+t.Format("15:04"))
}

// since is a time after the word "since", such as "14 October at 15:42".
func (c clock) since(t time.Time) *moment {
	m := c.at(t)
	m.Text = strings.TrimPrefix(m.Text, "on ")
	return m
}

// short is a time in a table, such as "Thursday 14:00".
func (c clock) short(t time.Time) *moment {
	t = t.In(c.now.Location())
	return c.moment(t, strings.TrimPrefix(capital(c.day(t)), "On ")+" "+t.Format("15:04"))
}

// hour is a time within a day or so, such as "06:00" or "Monday 06:00".
func (c clock) hour(t time.Time) *moment {
	t = t.In(c.now.Location())
	if t.Sub(c.now) < 18*time.Hour {
		return c.moment(t, t.Format("15:04"))
	}
	return c.short(t)
}

// estimate is when a download will be done, as precisely as can be known: "in about 20
// minutes", "Thursday around 14:00".
func (c clock) estimate(left time.Duration) *moment {
	t := c.now.Add(left)
	switch minutes := int(left.Round(time.Minute) / time.Minute); {
	case minutes <= 1:
		return c.moment(t, "in about a minute")
	case minutes < 60:
		return c.moment(t, fmt.Sprintf("in about %d minutes", minutes))
	}
	step := 5 * time.Minute
	switch {
	case left > 10*24*time.Hour:
		return c.moment(t, "around "+c.date(t))
	case left > 24*time.Hour:
		step = time.Hour
	case left > 6*time.Hour:
		step = 15 * time.Minute
	}
	_, offset := t.Zone() // Round goes by UTC, and some zones are half an hour away
	t = t.Add(time.Duration(offset) * time.Second).Round(step).Add(-time.Duration(offset) * time.Second)
	return c.moment(t, strings.TrimPrefix(c.day(t), "on ")+" around "+t.Format("15:04"))
}

// wait says why a dataset waits, and until when, such as "Status 503 (busy). Next try at
// 14:03:20, in 1 min 52 s." The state of the dataset says for whom.
func (c clock) wait(w *progress.Wait) sentence {
	why, goesOn := sentenceOf(w.Why), " Continues "
	if !strings.Contains(w.For, " ") { // a source
		goesOn = " Next try "
	}
	left, lasts, long := w.Until.Sub(c.now), c.now.Sub(w.Since), ""
	if lasts > time.Minute && !w.Since.IsZero() {
		long = " Waiting for " + span(lasts) + " so far."
	}
	switch {
	case w.Until.IsZero():
		return sentence{Text: why + long}
	case left < time.Second:
		return sentence{Text: why + goesOn + "now." + long}
	case left < time.Hour:
		return sentence{why + goesOn + "at ", c.soon(w.Until), ", in " + countdown(left) + "." + long}
	}
	return sentence{why + goesOn, c.at(w.Until), ", in " + span(left) + "." + long}
}

// soon is a time of day, with seconds within the next hour.
func (c clock) soon(t time.Time) *moment {
	if t.Sub(c.now) < time.Hour {
		return c.moment(t, t.In(c.now.Location()).Format(time.TimeOnly))
	}
	return c.hour(t)
}

// countdown is a time left of less than an hour, to the second.
func countdown(left time.Duration) string {
	if left < time.Minute {
		return span(left)
	}
	return fmt.Sprintf("%d%smin %02d%ss", int(left.Minutes()), nbsp, int(left.Seconds())%60, nbsp)
}

// day is "today", "on Thursday" within six days, or a date.
func (c clock) day(t time.Time) string {
	switch days := daysBetween(c.now, t); {
	case days == 0:
		return "today"
	case days == 1:
		return "tomorrow"
	case days == -1:
		return "yesterday"
	case days > -7 && days < 7:
		return "on " + t.Weekday().String()
	}
	return "on " + c.date(t)
}

func (c clock) date(t time.Time) string {
	if t.Year() == c.now.Year() {
		return t.Format("2 January")
	}
	return t.Format("2 January 2006")
}

// daysBetween counts the midnights between two times.
func daysBetween(from, to time.Time) int {
	y1, m1, d1 := from.Date()
	y2, m2, d2 := to.Date()
	return int(time.Date(y2, m2, d2, 0, 0, 0, 0, time.UTC).Sub(time.Date(y1, m1, d1, 0, 0, 0, 0, time.UTC)) / (24 * time.Hour))
}

// span is a duration in its one or two largest units.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "under a second"
	case d < time.Minute:
		return fmt.Sprintf("%d%ss", int(d.Seconds()), nbsp)
	case d < time.Hour:
		return fmt.Sprintf("%d%smin", int(d.Round(time.Minute).Minutes()), nbsp)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d%sh %02d%smin", int(d.Hours()), nbsp, int(d.Minutes())%60, nbsp)
	}
	return fmt.Sprintf("%d days", int(math.Round(d.Hours()/24)))
}

func size(n int64) string { return strings.ReplaceAll(humanize.Bytes(uint64(max(n, 0))), " ", nbsp) }

func comma(n int64) string { return humanize.Comma(n) }

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return comma(n) + " " + what + "s"
}

// percent is a fraction without decimals. Callers keep it below 1 until everything is there.
func percent(fraction float64) string {
	if fraction > 0 && fraction < 0.01 {
		return "less than 1%"
	}
	return fmt.Sprintf("%d%%", int(fraction*100))
}

// sentenceOf turns an error into a sentence.
func sentenceOf(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	return strings.TrimSuffix(capital(s), ".") + "."
}

func capital(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[n:]
}

// elementID is the id of the element that shows a dataset.
func elementID(dataset string) string { return "dataset-" + dataset }
