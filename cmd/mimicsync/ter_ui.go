package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"mimicsync/cmd/mimicsync/internal/advice"

	"mimicsync/cmd/mimicsync/internal/words"

	"github.com/dustin/go-humanize"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
	"mimicsync/internal/plainjson"
	"mimicsync/manifest"
)

// ui is all that a person sees: results on stdout, everything else on stderr.
type ui struct {
	stdout, stderr io.Writer

	adviser  advice.Adviser
	answered bool // the JSON object of --json is on stdout

	mu      sync.Mutex // guards stderr and display
	display display    // the progress display that is on the screen, if any
}

// explain tells an error and what to do about it, and returns the exit code.
func (u *ui) explain(err error) int {
	a := u.adviser.Advise(err)
	u.lines("error", err.Error())
	if a.Hint != "" {
		u.lines("hint", a.Hint)
	}
	return a.Code
}

// explainPass does so for a pass that ended early, and says what is left.
func (u *ui) explainPass(r *report.Report, err error) int {
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
		return advice.Worse(u.explain(err), advice.ForPass(r))
	}
	left := ""
	if r.Files.Total > 0 {
		left = fmt.Sprintf("; %s of %s left", words.Count(r.Left, "file"), humanize.Comma(r.Files.Total))
		if r.LeftBytes > 0 {
			left += ", about " + words.Size(r.LeftBytes)
		}
	}
	u.lines(kind, why+"what has come is saved"+left)
	a := u.adviser.Advise(stopped)
	u.lines("hint", a.Hint)
	return advice.Worse(a.Code, advice.ForPass(r))
}

// notStarted names the datasets that a command which ended early did not come to.
func (u *ui) notStarted(refs []manifest.Ref) {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = ref.String()
	}
	if len(names) > 0 {
		u.note("not started: %s", strings.Join(names, ", "))
	}
}

func (u *ui) note(format string, args ...any) { u.lines("note", fmt.Sprintf(format, args...)) }

// lines prints a message of one or more lines.
func (u *ui) lines(kind, text string) {
	prefix := "mimicsync: " + kind + ": "
	text = strings.ReplaceAll(strings.TrimRight(words.Tame(text), "\n"), "\n", "\n"+strings.Repeat(" ", len(prefix)))
	_, _ = io.WriteString(u.log(), prefix+text+"\n") // there is nowhere else to tell that stderr is closed
}

// log is stderr for whole lines: they go above the progress display.
func (u *ui) log() io.Writer { return logWriter{u} }

type logWriter struct{ u *ui }

func (w logWriter) Write(b []byte) (int, error) {
	w.u.mu.Lock()
	defer w.u.mu.Unlock()
	if w.u.display != nil {
		w.u.display.clear()
	}
	return w.u.stderr.Write(b)
}

// json prints the answer of a command to --json.
func (u *ui) json(v any) error {
	u.answered = true
	e := json.NewEncoder(plainjson.Writer{W: u.stdout})
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// jsonPart does so for what a command has, of which err may have kept a part away.
func (u *ui) jsonPart(key string, value any, err error) error {
	answer := map[string]any{key: value}
	if err != nil {
		answer["error"] = err.Error()
	}
	return u.json(answer)
}

func (u *ui) print(format string, args ...any) {
	u.printPainted("%s", words.Tame(fmt.Sprintf(format, args...)))
}

// printPainted is print for text that has colours, and nothing else that a
// terminal obeys.
func (u *ui) printPainted(format string, args ...any) {
	_, _ = fmt.Fprintf(u.stdout, format, args...) // there is nowhere else to tell it
}
