package terminal

import (
	"fmt"
	"io"
	"strings"
	"time"

	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
)

// plain writes a line now and then, for logs: how far the pass has come, or what it waits
// for. It repeats a long wait less and less often.
type plain struct {
	w       io.Writer
	title   string
	rates   rates
	budgets []*pace.Budget
	watch   watch

	due   time.Time     // the next line, if there is no news before
	told  progress.Wait // the wait that the last line was about, zero if none
	at    time.Time     // of that line
	pause time.Duration // between lines about the same wait
	stood amounts       // how far the pass was when that wait began
}

// amounts change as a pass progresses.
type amounts struct {
	phase                            int32
	total, done, failed, read, bytes int64
}

func amountsOf(p *progress.Progress) amounts {
	return amounts{p.Phase.Load(), p.Total.Load(), p.Done.Load(), p.Failed.Load(), p.Examined.Load(), p.Fetched.Load()}
}

func newPlain(w io.Writer, title string, p *progress.Progress, budgets []*pace.Budget) *plain {
	return &plain{w: w, title: title, rates: rates{p: p}, budgets: budgets, watch: watch{p: p}, due: time.Now().Add(plainEvery)}
}

func (p *plain) rename(title string) {
	p.title = title
	p.stood.phase = -1 // so that a wait under the former title counts as over
}

func (p *plain) draw() {
	now, waited := time.Now(), !p.told.Since.IsZero()
	p.rates.note(now)
	w, waits := p.watch.waits(now, plainLeast)
	switch {
	case waits && p.isNews(w, now):
		p.tell(w, now, plainEvery)
	case waits && waited && !now.Before(p.due):
		p.tell(w, now, min(2*p.pause, longestSilence))
	case waits:
	case waited && amountsOf(p.rates.p) != p.stood:
		p.told = progress.Wait{}
		p.tellAdvance(now, "continuing: ")
	case !now.Before(p.due):
		p.tellAdvance(now, "")
	}
}

const (
	longestSilence = time.Minute     // about a continuing wait
	newsLeast      = 5 * time.Second // between lines about nothing but another time
)

// isNews reports whether the last line said something else: nothing about a wait, or
// another wait, or that it would be over by now.
func (p *plain) isNews(w progress.Wait, now time.Time) bool {
	was := p.told
	switch {
	case !w.Until.IsZero() && w.Until.Sub(now) < time.Second: // it is over before anyone has read about it
		return false
	case was.Since.IsZero(), was.For != w.For, was.Why != w.Why, amountsOf(p.rates.p).phase != p.stood.phase:
		return true
	}
	shifted := w.Until.Sub(was.Until).Abs() > plainLeast
	return shifted && (!now.Before(was.Until) || w.Until.Before(was.Until)) && now.Sub(p.at) >= newsLeast
}

// tell writes a line about a wait.
func (p *plain) tell(w progress.Wait, now time.Time, pause time.Duration) {
	if now := amountsOf(p.rates.p); p.told.Since.IsZero() || now.phase != p.stood.phase {
		p.stood = now
	}
	p.told, p.at, p.pause, p.due = w, now, pause, now.Add(pause)
	_, _ = fmt.Fprintf(p.w, "%s: %s\n", p.title, waitLine(w, now))
}

// tellAdvance writes a line about how far the pass has come.
func (p *plain) tellAdvance(now time.Time, lead string) {
	p.due = now.Add(plainEvery)
	watched := p.rates.p
	a := p.rates.advanceOf(p.title, now)
	if a.total == 0 {
		a.connections = watched.Connections.Load()
	} else {
		a.connections, a.limit = p.connections()
	}
	parts := a.parts()
	if w, ok := progress.Foremost(watched.Waits(), 1, false); ok && a.total > 0 { // for all requests to one of several sources
		parts = append(parts, waitLine(w, now))
	}
	_, _ = fmt.Fprintf(p.w, "%s: %s%s\n", p.title, lead, strings.Join(parts, ", "))
}

// connections returns the connections of all sources.
func (p *plain) connections() (used, limit int64) {
	for _, b := range p.budgets {
		u, l, _ := b.Connections()
		used, limit = used+int64(u), limit+int64(l)
	}
	return used, limit
}

func (p *plain) clear() {}
