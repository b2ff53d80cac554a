package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"mimicsync/downloader"
)

const (
	barEvery   = 100 * time.Millisecond
	plainEvery = 10 * time.Second
)

// display shows how far a pass has come. The caller holds ui.mu.
type display interface {
	draw()
	clear() // makes room for a line of text; the next draw draws anew
}

// narrowest is the terminal that a bar fits into with the least text beside it: a
// line that wraps cannot be drawn over.
const narrowest = barRoom + 8

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

// show draws the progress of a pass until stop is called.
func (u *ui) show(style, title string, p *downloader.Progress, budgets []*downloader.Budget) (stop func()) {
	every := barEvery
	var d display
	switch style {
	case "none":
		return func() {}
	case "plain":
		every = plainEvery
		d = &plain{w: u.stderr, title: title, meter: newMeter(p), budgets: budgets}
	default:
		d = newBar(u.stderr, title, p)
	}
	u.mu.Lock()
	u.display = d
	u.mu.Unlock()
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				u.mu.Lock()
				d.draw()
				u.mu.Unlock()
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
		u.mu.Lock()
		defer u.mu.Unlock()
		d.clear()
		u.display = nil
	}
}

// bar is the progress bar on a terminal. It counts what this pass has to bring
// and nothing from before it, so that rate and time left are right after a
// resume too: bytes where it is known how many there will be, else files.
type bar struct {
	w       io.Writer
	title   string
	p       *downloader.Progress
	bar     *progressbar.ProgressBar
	byBytes bool
	phase   downloader.Phase
}

func newBar(w io.Writer, title string, p *downloader.Progress) *bar {
	return &bar{w: w, title: title, p: p, phase: -1}
}

// begin chooses the form of the bar when a new phase begins.
func (b *bar) begin(phase downloader.Phase) {
	b.clear()
	b.phase = phase
	total := int64(-1) // a spinner
	b.byBytes = false
	if phase == downloader.PhaseTransfer {
		if total, b.byBytes = b.p.Expected.Load(), true; total <= 0 {
			total, b.byBytes = b.p.Total.Load(), false
		}
	}
	b.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(b.w),
		progressbar.OptionShowBytes(b.byBytes),
		progressbar.OptionShowTotalBytes(b.byBytes),
		progressbar.OptionShowCount(),
		progressbar.OptionShowElapsedTimeOnFinish(),
		progressbar.OptionSetPredictTime(total > 0),
		progressbar.OptionSetSpinnerChangeInterval(0), // else a goroutine of the library turns it, for ever
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetTheme(progressbar.ThemeASCII),
	)
}

func (b *bar) draw() {
	if phase := downloader.Phase(b.p.Phase.Load()); phase != b.phase {
		b.begin(phase)
	}
	b.bar.Describe(b.describe())
	if b.phase != downloader.PhaseTransfer {
		_ = b.bar.Add(0) // turns the spinner
		return
	}
	total, at := b.p.Total.Load(), b.p.Done.Load()+b.p.Failed.Load()
	if b.byBytes {
		total, at = b.p.Expected.Load(), b.p.Fetched.Load()
	}
	// The published size is about right; a bar that is full before its end, or
	// over its end, would be an error to the library.
	if total = max(total, at+1); total != b.bar.GetMax64() {
		b.bar.ChangeMax64(total)
	}
	_ = b.bar.Set64(at)
}

// barRoom is what percentage, bar, amounts, rate and times take of a line.
const barRoom = 52

// describe is the text before the bar: as much as the line has room for, with
// the dataset's name as the first to go.
func (b *bar) describe() string {
	switch b.phase {
	case downloader.PhaseManifest:
		return b.title + "  " + asking(b.p.Connections.Load(), b.p.Retries.Load())
	case downloader.PhaseSurvey:
		return b.title + "  comparing with the mirror"
	}
	var parts []string
	if b.byBytes {
		parts = append(parts, fmt.Sprintf("%s/%s files", humanize.Comma(b.p.Done.Load()), humanize.Comma(b.p.Total.Load())))
	}
	if n := b.p.Failed.Load(); n > 0 {
		parts = append(parts, humanize.Comma(n)+" failed")
	}
	if n := b.p.Retries.Load(); n > 0 {
		parts = append(parts, plural(n, "retry", "retries"))
	}
	room := terminalWidth(b.w) - barRoom
	text := strings.Join(parts, "  ")
	for len(text) > room && len(parts) > 1 {
		parts = parts[:len(parts)-1]
		text = strings.Join(parts, "  ")
	}
	if len(b.title)+2+len(text) <= room {
		text = strings.TrimRight(b.title+"  "+text, " ")
	}
	return text
}

// asking is what a pass does that has no manifest yet: without a request on its
// way it waits, for a connection, in the queue of a daemon, or to try again.
func asking(connections, retries int64) string {
	switch {
	case connections > 0:
		return "asking for the manifest"
	case retries > 0:
		return "waiting to ask for the manifest again, after " + plural(retries, "try", "tries")
	}
	return "waiting for its turn"
}

// terminalWidth is how many columns a line has, 80 where that is unknown.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(n) + " " + many
}

func (b *bar) clear() {
	if b.bar != nil {
		_ = b.bar.Clear() // a terminal that is gone needs no clearing
	}
}

// meter measures rates over the last while.
type meter struct {
	p     *downloader.Progress
	at    time.Time
	bytes int64
	files int64
}

func newMeter(p *downloader.Progress) *meter { return &meter{p: p, at: time.Now()} }

// rates returns bytes and files per second since the last call.
func (m *meter) rates() (bytes, files float64) {
	now, b, f := time.Now(), m.p.Fetched.Load()+m.p.Examined.Load(), m.p.Done.Load()
	s := now.Sub(m.at).Seconds()
	bytes, files = float64(b-m.bytes)/s, float64(f-m.files)/s
	m.at, m.bytes, m.files = now, b, f
	return bytes, files
}

// plain is a line now and then, for logs.
type plain struct {
	w       io.Writer
	title   string
	meter   *meter
	budgets []*downloader.Budget
}

func (p *plain) draw() {
	progress := p.meter.p
	rate, files := p.meter.rates()
	total, done := progress.Total.Load(), progress.Done.Load()
	if total == 0 {
		_, _ = fmt.Fprintf(p.w, "%s: %s\n", p.title, asking(progress.Connections.Load(), progress.Retries.Load()))
		return
	}
	parts := []string{fmt.Sprintf("%s of %s files", humanize.Comma(done), humanize.Comma(total))}
	fetched, expected := progress.Fetched.Load(), progress.Expected.Load()
	got := size(fetched)
	if expected > fetched {
		got += " of " + size(expected)
	}
	parts = append(parts, got, size(int64(rate))+"/s")
	if left := timeLeft(expected-fetched, rate, total-done, files); left > 0 {
		parts = append(parts, "about "+elapsed(left)+" left")
	}
	if used, limit := p.connections(); used > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s", used, plural(int64(limit), "connection", "connections")))
	}
	if n := progress.Retries.Load(); n > 0 {
		parts = append(parts, plural(n, "retry", "retries"))
	}
	if n := progress.Failed.Load(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d failed", n))
	}
	_, _ = fmt.Fprintf(p.w, "%s: %s\n", p.title, strings.Join(parts, ", "))
}

// connections are those of all sources.
func (p *plain) connections() (used, limit int) {
	for _, b := range p.budgets {
		u, l, _ := b.Connections()
		used, limit = used+u, limit+l
	}
	return used, limit
}

// timeLeft goes by bytes where it is known how many are left, else by files.
func timeLeft(bytes int64, rate float64, files int64, fileRate float64) time.Duration {
	switch {
	case bytes > 0 && rate > 0:
		return time.Duration(float64(bytes) / rate * float64(time.Second))
	case files > 0 && fileRate > 0:
		return time.Duration(float64(files) / fileRate * float64(time.Second))
	}
	return 0
}

func (p *plain) clear() {}
