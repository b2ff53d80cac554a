package main

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"mimicsync/downloader/progress"
)

// waitLine says for whom something waits, why, and until when, as in "waiting for
// physionet: status 503 (busy); next try 14:03:20, in 1m52s".
func waitLine(w progress.Wait, now time.Time) string {
	at, in := again(w, now)
	return "waiting for " + w.For + ": " + printable(w.Why) + ending(at, in)
}

// ending adds to a sentence when it goes on, as far as that is known and wanted.
func ending(at, in string) string {
	switch {
	case at != "" && in != "":
		return "; " + at + ", " + in
	case at+in != "":
		return "; " + at + in
	}
	return ""
}

// again is when a wait is over, by the clock and in how long. Where nobody knows
// it is since when a source is waited for.
func again(w progress.Wait, now time.Time) (at, in string) {
	what := "until "
	if isSource(w.For) {
		what = "next try "
	}
	left := w.Until.Sub(now)
	switch {
	case w.Until.IsZero() && isSource(w.For) && now.Sub(w.Since) >= time.Second && !w.Since.IsZero():
		return "since " + hour(w.Since, now), ""
	case w.Until.IsZero():
		return "", ""
	case left < time.Second/2:
		return "", strings.TrimSuffix(what, " ") + " now"
	}
	return what + hour(w.Until, now), "in " + countdown(left)
}

// isSource tells the name of a source, which is one word, from what else there is
// to wait for.
func isSource(name string) bool { return !strings.Contains(name, " ") }

// hour is a time of the day, with the day where it is not the next one of its kind.
func hour(t, now time.Time) string {
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

// countdown is a time that is left, by the second where that is of use.
func countdown(left time.Duration) string {
	switch {
	case left < time.Hour:
		return left.Round(time.Second).String()
	case left < 48*time.Hour:
		return elapsed(left.Round(time.Minute))
	}
	return count(int64(math.Round(left.Hours()/24)), "day")
}

// fitWait is waitLine with a title for a line of a terminal: what the line has no
// room for is left out, the time of the clock first, then the title, and the end of
// the reason last.
func fitWait(title string, w progress.Wait, now time.Time, width int) string {
	at, in := again(w, now)
	if in == "" {
		at, in = "", at
	}
	head, why := "waiting for "+w.For+": ", printable(w.Why)
	for _, line := range []string{
		title + "  " + head + why + ending(at, in),
		title + "  " + head + why + ending("", shorter(w, in)),
		head + why + ending(at, in),
		head + why + ending("", shorter(w, in)),
		w.For + ": " + why + ending("", shorter(w, in)),
	} {
		if utf8.RuneCountInString(line) <= width {
			return line
		}
	}
	const leastWhy = 11 // of a reason, as in "status 503…"; less of it says nothing
	again := ""
	if strings.HasPrefix(in, "in ") {
		again = "again "
	}
	for _, line := range []struct{ head, tail string }{{head, ending("", shorter(w, in))}, {w.For + ": ", ending("", again+in)}} {
		if room := width - utf8.RuneCountInString(line.head+line.tail); room >= leastWhy {
			return line.head + cut(why, room) + line.tail
		}
	}
	return cut(w.For+ending("", again+in), width)
}

// shorter is how long a wait lasts without the clock, as in "next try in 8s".
func shorter(w progress.Wait, in string) string {
	if isSource(w.For) && strings.HasPrefix(in, "in ") {
		return "next try " + in
	}
	return in
}

// cut shortens a text to so many characters.
func cut(text string, room int) string {
	runes := []rune(text)
	if len(runes) <= room {
		return text
	}
	return strings.TrimRight(string(runes[:max(room-1, 0)]), " :;,") + "…"
}

// Waits that are shorter are no news: a bar would flicker, and a log fill up.
const (
	barsLeast  = time.Second
	plainLeast = 1500 * time.Millisecond
)

// watch looks at what a pass waits for, for one display.
type watch struct {
	p     *progress.Progress
	bytes int64     // that had arrived
	at    time.Time // when that last changed
}

// flowing is how long after the last bytes more of them are expected.
const flowing = 2 * time.Second

// waits returns what the pass waits for, if that is worth a line and lasts.
func (o *watch) waits(now time.Time, least time.Duration) (progress.Wait, bool) {
	if bytes := o.p.Fetched.Load(); bytes != o.bytes {
		o.bytes, o.at = bytes, now
	}
	w, ok := progress.Foremost(o.p.Waits(), o.p.Connections.Load(), now.Sub(o.at) < flowing)
	return w, ok && (now.Sub(w.Since) >= least || w.Until.Sub(w.Since) >= least)
}

// showWaits tells what a command without progress waits for, until stop is called.
func (u *ui) showWaits(style, title string, p *progress.Progress) (stop func()) {
	switch style {
	case "none":
		return func() {}
	case "plain":
		return u.draw(&onlyWaits{newPlain(u.stderr, title, p, nil), watch{p: p}, plainLeast}, plainLook)
	}
	return u.draw(&onlyWaits{newBar(u.stderr, title, p), watch{p: p}, barsLeast}, barEvery)
}

// onlyWaits draws a display while there is something to wait for.
type onlyWaits struct {
	display
	watch watch
	least time.Duration
}

func (o *onlyWaits) draw() {
	if _, waits := o.watch.waits(time.Now(), o.least); waits {
		o.display.draw()
	} else {
		o.display.clear()
	}
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
		a.ui.note("waiting for %s; an answer may take up to %s", whom, countdown(limit))
	})
	return func() { slow.Stop() }
}
