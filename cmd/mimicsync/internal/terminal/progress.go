package terminal

import (
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
)

const (
	barEvery   = 100 * time.Millisecond
	plainLook  = 500 * time.Millisecond // how often to look for news for a line
	plainEvery = 10 * time.Second       // between lines while all goes well
)

// display shows the progress of a pass. The caller holds ui.mu.
type display interface {
	draw()
	clear()             // makes room for a line of text; the next draw draws again
	rename(name string) // of the pass
}

const (
	barWidth = 20                   // at most
	barFrame = len(" 100% || ") + 2 // around the bar, and what the library keeps free
	// narrowest is the narrowest terminal for a bar with the least text beside it: a line
	// that wraps can't be drawn over.
	narrowest = 40
)

// ProgressStyle chooses between bar, plain and none. asked is one of these, auto, or empty
// for auto.
func (u *UI) ProgressStyle(asked string) string {
	switch {
	case asked == "bar" || asked == "plain" || asked == "none":
		return asked
	case IsTerminal(u.Stderr) && os.Getenv("TERM") != "dumb" && terminalWidth(u.Stderr) >= narrowest:
		return "bar"
	}
	return "plain"
}

// Show draws the progress of a pass until stop is called.
func (u *UI) Show(style, title string, p *progress.Progress, budgets []*pace.Budget) (stop func()) {
	every := barEvery
	var d display
	switch style {
	case "none":
		return func() {}
	case "plain":
		every = plainLook
		d = newPlain(u.Stderr, title, p, budgets)
	default:
		d = newBar(u.Stderr, title, p)
	}
	return u.draw(d, every)
}

// draw draws a display regularly until stop is called.
func (u *UI) draw(d display, every time.Duration) (stop func()) {
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

// Rename gives the displayed pass another name: its version is known now.
func (u *UI) Rename(title string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.display != nil {
		u.display.rename(title)
	}
}

// bar is the progress bar on a terminal. Its length is that of the bytes of this pass if it
// is known how many there will be, otherwise of files.
type bar struct {
	w       io.Writer
	title   string
	p       *progress.Progress
	rates   rates
	bar     *progressbar.ProgressBar
	byBytes bool
	phase   progress.Phase
	watch   watch
	line    string // in place of the bar: what it waits for; empty if it doesn't
}

func newBar(w io.Writer, title string, p *progress.Progress) *bar {
	return &bar{w: w, title: title, p: p, rates: rates{p: p}, phase: -1, watch: watch{p: p}}
}

// begin chooses the form of the bar for a new phase.
func (b *bar) begin(phase progress.Phase) {
	b.clear()
	b.phase = phase
	total := int64(-1) // a spinner
	b.byBytes = false
	if phase == progress.PhaseTransfer {
		if total, b.byBytes = b.p.Expected.Load(), true; total <= 0 {
			total, b.byBytes = b.p.Total.Load(), false
		}
	}
	b.rates.restart()
	b.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(b.w),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetSpinnerChangeInterval(0), // otherwise a goroutine of the library turns it forever
		progressbar.OptionSetWidth(barColumns(b.w)),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetTheme(progressbar.ThemeASCII),
	)
}

func (b *bar) rename(title string) { b.title = title }

func (b *bar) draw() {
	now := time.Now()
	if w, waits := b.watch.waits(now, barsLeast); waits {
		title := b.title
		if total := b.p.Total.Load(); total > 0 {
			title += "  " + b.rates.advanceOf(b.title, now).files()
		}
		b.drawLine(fitWait(title, w, now, terminalWidth(b.w)-1))
		return
	}
	b.eraseLine()
	if phase := progress.Phase(b.p.Phase.Load()); phase != b.phase {
		b.begin(phase)
	}
	b.rates.note(now)
	b.bar.Describe(b.describe(now))
	if b.phase != progress.PhaseTransfer {
		_ = b.bar.Add(0) // turns the spinner
		return
	}
	total, at := b.p.Total.Load(), b.p.Done.Load()+b.p.Failed.Load()
	if b.byBytes {
		total, at = b.p.Expected.Load(), b.p.Fetched.Load()
	}
	// The published size is approximate; a bar that is full before the end, or beyond,
	// would be an error for the library.
	if total = max(total, at+1); total != b.bar.GetMax64() {
		b.bar.ChangeMax64(total)
	}
	_ = b.bar.Set64(at)
}

// drawLine shows a line in place of the bar, unless it is there already.
func (b *bar) drawLine(line string) {
	if line == b.line {
		return
	}
	b.clear()
	_, _ = io.WriteString(b.w, "\r"+line) // a terminal that is gone needs no drawing
	b.line = line
}

// eraseLine overwrites it.
func (b *bar) eraseLine() {
	if b.line != "" {
		_, _ = io.WriteString(b.w, "\r"+strings.Repeat(" ", utf8.RuneCountInString(b.line))+"\r")
		b.line = ""
	}
}

// barColumns is the width of the bar alone: less of it leaves more room for the text.
func barColumns(w io.Writer) int { return max(6, min(barWidth, terminalWidth(w)/6)) }

// describe is the text beside the bar: as much as fits.
func (b *bar) describe(now time.Time) string {
	room := terminalWidth(b.w) - barColumns(b.w) - barFrame
	switch b.phase {
	case progress.PhaseManifest:
		return b.title + "  " + asking(HasVersion(b.title), b.p.Connections.Load(), b.p.Retries.Load())
	case progress.PhaseSurvey:
		return b.title + "  comparing with the mirror"
	}
	return b.rates.advanceOf(b.title, now).fit(b.title, room)
}

// asking is what a pass does before it has a manifest, or even a version. What it waits for
// without a running request is shown separately, if known.
func asking(hasVersion bool, connections, retries int64) string {
	now, again := "fetching the manifest", "fetch the manifest"
	if !hasVersion {
		now, again = "looking up the newest version", "look up the newest version"
	}
	switch {
	case connections > 0:
		return now
	case retries > 0:
		return "waiting to " + again + " again, after " + words.Plural(retries, "try", "tries")
	}
	return "waiting for its turn"
}

// HasVersion reports whether a title like demo@1.0 includes a version.
func HasVersion(title string) bool { return strings.Contains(title, "@") }

func (b *bar) clear() {
	b.eraseLine()
	if b.bar != nil {
		_ = b.bar.Clear() // a terminal that is gone needs no clearing
	}
}
