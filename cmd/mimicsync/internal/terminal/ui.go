package terminal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/dustin/go-humanize"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
	"mimicsync/internal/plainjson"
	"mimicsync/manifest"
)

// UI is everything that people see: results on stdout, everything else on stderr.
type UI struct {
	Stdout, Stderr io.Writer

	Adviser  advice.Adviser
	Answered bool // the JSON object of --json has been printed

	mu      sync.Mutex // guards stderr and display
	display display    // the current progress display, if any
}

// New returns the UI that writes to two streams; a gives advice.
func New(stdout, stderr io.Writer, a advice.Adviser) *UI {
	return &UI{Stdout: stdout, Stderr: stderr, Adviser: a}
}

// Explain prints an error and what to do about it, and returns the exit code.
func (u *UI) Explain(err error) int {
	a := u.Adviser.Advise(err)
	u.Lines("error", err.Error())
	if a.Hint != "" {
		u.Lines("hint", a.Hint)
	}
	return a.Code
}

// ExplainPass does so for a pass that ended early, and says what is left.
func (u *UI) ExplainPass(r *report.Report, err error) int {
	var kind, why string
	var stopped error
	switch {
	case errors.Is(err, failure.ErrInterrupted):
		kind, stopped = "interrupted", failure.ErrInterrupted
		if ended, ok := errors.AsType[*advice.PassError](err); ok {
			why = strings.TrimPrefix(ended.Text, "interrupted: ") + "; "
		}
	case errors.Is(err, failure.ErrLimit):
		kind, why, stopped = "stopped", err.Error()+"; ", failure.ErrLimit
	default:
		return advice.Worse(u.Explain(err), advice.ForPass(r))
	}
	left := ""
	if r.Files.Total > 0 {
		left = fmt.Sprintf("; %s of %s left", humanize.Comma(r.Left), words.Count(r.Files.Total, "file"))
		if r.LeftBytes > 0 {
			left += ", about " + words.Size(r.LeftBytes)
		}
	}
	u.Lines(kind, why+"everything fetched is saved"+left)
	a := u.Adviser.Advise(stopped)
	u.Lines("hint", a.Hint)
	return advice.Worse(a.Code, advice.ForPass(r))
}

// NotStarted names the datasets that a command didn't get to.
func (u *UI) NotStarted(refs []manifest.Ref) {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = ref.String()
	}
	if len(names) > 0 {
		u.Notef("not started: %s", strings.Join(names, ", "))
	}
}

// Notef prints a note to standard error.
func (u *UI) Notef(format string, args ...any) { u.Lines("note", fmt.Sprintf(format, args...)) }

// Lines prints a message of one or more lines.
func (u *UI) Lines(kind, text string) {
	prefix := "mimicsync: " + kind + ": "
	text = strings.ReplaceAll(strings.TrimRight(words.Tame(text), "\n"), "\n", "\n"+strings.Repeat(" ", len(prefix)))
	_, _ = io.WriteString(u.Log(), prefix+text+"\n") // nobody can be told that stderr is closed
}

// Log is stderr for whole lines: they go above the progress display.
func (u *UI) Log() io.Writer { return logWriter{u} }

type logWriter struct{ u *UI }

func (w logWriter) Write(b []byte) (int, error) {
	w.u.mu.Lock()
	defer w.u.mu.Unlock()
	if w.u.display != nil {
		w.u.display.clear()
	}
	return w.u.Stderr.Write(b)
}

// JSON prints the answer of a command with --json.
func (u *UI) JSON(v any) error {
	u.Answered = true
	e := json.NewEncoder(plainjson.Writer{W: u.Stdout})
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// JSONPart does so for a result that err may have cut short.
func (u *UI) JSONPart(key string, value any, err error) error {
	answer := map[string]any{key: value}
	if err != nil {
		answer["error"] = err.Error()
	}
	return u.JSON(answer)
}

// Printf prints a part of a result to standard output.
func (u *UI) Printf(format string, args ...any) {
	u.PrintPainted("%s", words.Tame(fmt.Sprintf(format, args...)))
}

// line prints a line of a result, which a terminal gets broken between words.
func (u *UI) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if columns := Columns(u.Stdout); columns > 0 {
		text = words.Wrap(strings.Fields(text), columns, "  ")
	}
	u.Printf("%s\n", text)
}

// PrintPainted is Printf for text that has colors, and no other control characters.
func (u *UI) PrintPainted(format string, args ...any) {
	_, _ = fmt.Fprintf(u.Stdout, format, args...) // nobody can be told otherwise
}
