package terminal

import (
	"strings"
	"time"
	"unicode/utf8"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/progress"
)

// waitLine says what something waits for, why, and until when, like "waiting for physionet:
// status 503 (busy); next try 14:03:20, in 1m52s".
func waitLine(w progress.Wait, now time.Time) string {
	at, in := again(w, now)
	return "waiting for " + w.For + ": " + words.Printable(w.Why) + ending(at, in)
}

// ending adds when it continues, as far as that is known and wanted.
func ending(at, in string) string {
	switch {
	case at != "" && in != "":
		return "; " + at + ", " + in
	case at+in != "":
		return "; " + at + in
	}
	return ""
}

// again is when a wait is over, as a time of day and as a duration. If that is unknown, it
// is since when a source has been waited for.
func again(w progress.Wait, now time.Time) (at, in string) {
	what := "until "
	if IsSource(w.For) {
		what = "next try "
	}
	left := w.Until.Sub(now)
	switch {
	case w.Until.IsZero() && IsSource(w.For) && now.Sub(w.Since) >= time.Second && !w.Since.IsZero():
		return "since " + words.Clock(w.Since, now), ""
	case w.Until.IsZero():
		return "", ""
	case left < time.Second/2:
		return "", strings.TrimSuffix(what, " ") + " now"
	}
	return what + words.Clock(w.Until, now), "in " + words.Countdown(left)
}

// IsSource distinguishes the name of a source, a single word, from other things to wait
// for.
func IsSource(name string) bool { return !strings.Contains(name, " ") }

// fitWait is waitLine with a title for a line of a terminal. If it doesn't fit, it leaves
// out the time of day, then the title, and last the end of the reason.
func fitWait(title string, w progress.Wait, now time.Time, width int) string {
	at, in := again(w, now)
	if in == "" {
		at, in = "", at
	}
	head, why := "waiting for "+w.For+": ", words.Printable(w.Why)
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
	const leastWhy = 11 // of a reason, like "status 503…"; less of it says nothing
	again := ""
	if strings.HasPrefix(in, "in ") {
		again = "again "
	}
	for _, line := range []struct{ head, tail string }{{head, ending("", shorter(w, in))}, {w.For + ": ", ending("", again+in)}} {
		if room := width - utf8.RuneCountInString(line.head+line.tail); room >= leastWhy {
			return line.head + words.Cut(why, room) + line.tail
		}
	}
	return words.Cut(w.For+ending("", again+in), width)
}

// shorter is how long a wait lasts, without the time of day, like "next try in 8s".
func shorter(w progress.Wait, in string) string {
	if IsSource(w.For) && strings.HasPrefix(in, "in ") {
		return "next try " + in
	}
	return in
}

// Shorter waits aren't shown: a bar would flicker, and a log fill up.
const (
	barsLeast  = time.Second
	plainLeast = 1500 * time.Millisecond
)

// watch follows what a pass waits for, for one display.
type watch struct {
	p     *progress.Progress
	bytes int64     // received so far
	at    time.Time // when that last changed
}

// flowing is how long after the last bytes more are expected.
const flowing = 2 * time.Second

// waits returns what the pass waits for, if that is worth a line.
func (o *watch) waits(now time.Time, least time.Duration) (progress.Wait, bool) {
	if bytes := o.p.Fetched.Load(); bytes != o.bytes {
		o.bytes, o.at = bytes, now
	}
	w, ok := progress.Foremost(o.p.Waits(), o.p.Connections.Load(), now.Sub(o.at) < flowing)
	return w, ok && (now.Sub(w.Since) >= least || w.Until.Sub(w.Since) >= least)
}

// ShowWaits shows what a command without progress waits for, until stop is called.
func (u *UI) ShowWaits(style, title string, p *progress.Progress) (stop func()) {
	switch style {
	case "none":
		return func() {}
	case "plain":
		return u.draw(&onlyWaits{newPlain(u.Stderr, title, p, nil), watch{p: p}, plainLeast}, plainLook)
	}
	return u.draw(&onlyWaits{newBar(u.Stderr, title, p), watch{p: p}, barsLeast}, barEvery)
}

// onlyWaits draws a display only while there is a wait.
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
