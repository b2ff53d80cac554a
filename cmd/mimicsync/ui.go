package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"mimicsync/daemon"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/source/s3"
	"mimicsync/internal/plainjson"
	"mimicsync/manifest"
	"mimicsync/store"
)

// ui is all that a person sees: results on stdout, everything else on stderr.
type ui struct {
	stdout, stderr io.Writer

	mirror   string // that the command line names; empty if it names none
	answered bool   // the JSON object of --json is on stdout

	mu      sync.Mutex // guards stderr and display
	display display    // the progress display that is on the screen, if any
}

// explain tells an error and what to do about it, and returns the exit code.
func (u *ui) explain(err error) int {
	a := advise(err)
	u.lines("error", err.Error())
	if a.hint != "" {
		u.lines("hint", a.hint)
	}
	return a.code
}

// explainPass does so for a pass that ended early, and says what is left.
func (u *ui) explainPass(r *report.Report, err error) int {
	var kind, why string
	var stopped error
	switch {
	case errors.Is(err, failure.ErrInterrupted):
		kind, stopped = "interrupted", failure.ErrInterrupted
		if ended, ok := errors.AsType[*passError](err); ok {
			why = strings.TrimPrefix(ended.text, "interrupted: ") + "; "
		}
	case errors.Is(err, failure.ErrLimit):
		kind, why, stopped = "stopped", err.Error()+"; ", failure.ErrLimit
	default:
		return worse(u.explain(err), exitCode(r))
	}
	left := ""
	if r.Files.Total > 0 {
		left = fmt.Sprintf("; %s of %s left", count(r.Left, "file"), humanize.Comma(r.Files.Total))
		if r.LeftBytes > 0 {
			left += ", about " + size(r.LeftBytes)
		}
	}
	u.lines(kind, why+"what has come is saved"+left)
	a := advise(stopped)
	u.lines("hint", a.hint)
	return worse(a.code, exitCode(r))
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
	if kind != "error" {
		text = u.about(text)
	}
	text = strings.ReplaceAll(strings.TrimRight(tame(text), "\n"), "\n", "\n"+strings.Repeat(" ", len(prefix)))
	_, _ = io.WriteString(u.log(), prefix+text+"\n") // there is nowhere else to tell that stderr is closed
}

// ofAMirror finds the commands in a text that are about a mirror.
var ofAMirror = regexp.MustCompile(`\bmimicsync (pull|plan|status|verify|prune|doctor|daemon (pause|resume|cancel|bwlimit|token|reload))\b`)

// about has the commands that a text names be about the mirror of this one.
func (u *ui) about(text string) string {
	if u.mirror == "" || strings.Contains(text, "--mirror") || strings.Contains(text, "--help") {
		return text
	}
	return ofAMirror.ReplaceAllStringFunc(text, func(command string) string { return command + " --mirror " + shellQuote(u.mirror) })
}

// shellQuote is an argument as a shell reads it.
func shellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/._-+,:@%", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
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
	u.printPainted("%s", tame(fmt.Sprintf(format, args...)))
}

// printPainted is print for text that has colours, and nothing else that a
// terminal obeys.
func (u *ui) printPainted(format string, args ...any) {
	_, _ = fmt.Fprintf(u.stdout, format, args...) // there is nowhere else to tell it
}

// maxShown is how many failures are told one by one; the JSON report has more.
const maxShown = 20

// report tells the result of a pass.
func (u *ui) report(r *report.Report) {
	if r.State == store.Interrupted || r.State == store.Failed && r.Files.Total == 0 {
		return // told as an error
	}
	f, b := r.Files, r.Bytes
	done := f.Present + f.Adopted + f.Linked + f.Fetched
	var parts []string
	for _, p := range []struct {
		n, bytes int64
		how      string
	}{
		{f.Fetched, b.Fetched, "fetched"},
		{f.Present, b.Present, "present"},
		{f.Adopted, b.Adopted, "adopted"},
		{f.Linked, b.Linked, "linked"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s (%s)", humanize.Comma(p.n), p.how, size(p.bytes)))
		}
	}
	detail := ""
	if len(parts) > 0 {
		detail = ": " + strings.Join(parts, ", ")
	}
	u.print("%s %s %s: %s of %s verified%s, in %s\n", r.Dataset, r.Version, r.State, humanize.Comma(done),
		count(f.Total, "file"), detail, elapsed(r.Elapsed))
	u.sources(r)
	u.quarantined(r.Quarantined)
	if n := len(r.Collisions); n > 0 {
		c := r.Collisions[0]
		u.print("  %s differ from another only by case, or by dots or spaces at the end, such as %s from %s: a disk that does not tell these apart cannot hold both\n",
			count(int64(n), "name"), printable(c.Path), printable(c.With))
	}
	u.failures(r.Failures, f.Failed, r.Err)
}

func (u *ui) quarantined(files []report.Quarantined) {
	for _, q := range files[:min(len(files), maxShown)] {
		u.print("  moved aside  %s  to %s: it was not what the manifest says\n", printable(q.Path), printable(q.To))
	}
}

// sources tells what came from where, if there are several sources, and what to
// do about those that a pass went on without.
func (u *ui) sources(r *report.Report) {
	if r.AuthorityErr != nil {
		why, _, _ := strings.Cut(r.AuthorityErr.Error(), "\n")
		u.print("  the manifest is that of %s, which was not compared with PhysioNet's of today: %s\n", r.ManifestFrom, why)
	}
	if len(r.Sources) < 2 && (len(r.Sources) == 0 || r.Sources[0].Cost == 0) {
		return
	}
	for _, s := range r.Sources {
		u.print("  from %-10s %s (%s)", s.Name, count(s.Files, "file"), size(s.Bytes))
		if s.Cost > 0 {
			u.print(" for about %s", s.Cost)
		}
		if s.Failed > 0 {
			u.print(", %s not had there", humanize.Comma(s.Failed))
		}
		switch {
		case s.Dropped != "" && r.Err != nil && strings.Contains(r.Err.Error(), s.Dropped):
			u.print("; dropped, see the error")
		case s.Dropped != "":
			u.print("; dropped: %s", s.Dropped)
		}
		u.print("\n")
		if a := advise(s.Err); s.Err != nil && r.Err == nil && a.hint != "" && !errors.Is(s.Err, failure.ErrLimit) {
			u.lines("hint", a.hint)
		}
	}
}

// failures tells them one by one, and the same words about several files, or those
// of the error that comes behind, once.
func (u *ui) failures(failures []store.Failure, total int64, err error) {
	told := map[string]bool{}
	for _, f := range failures[:min(len(failures), maxShown)] {
		words := f.Reason + strings.ReplaceAll(f.Detail, f.Path, "")
		detail := printable(f.Detail)
		switch {
		case err != nil && f.Detail == err.Error():
			detail = "see the error"
		case told[words]:
			detail = "the same"
		}
		told[words] = true
		u.print("  %-12s %s: %s\n", f.Reason, printable(f.Path), detail)
	}
	if more := total - int64(min(len(failures), maxShown)); more > 0 {
		u.print("  ... and %s more; --json lists them\n", humanize.Comma(more))
	}
}

func (u *ui) verification(v *report.Verification, repair bool) {
	u.print("%s %s: %s read and right (%s)", v.Dataset, v.Version, count(v.Verified, "file"), size(v.Bytes))
	for _, p := range []struct {
		n    int64
		what string
	}{{v.Recent, "read before in this round"}, {v.Wrong, "wrong"}, {v.Missing, "missing"}, {v.Unreadable, "unreadable"}, {v.Absent, "never fetched"}} {
		if p.n > 0 {
			u.print(", %s %s", humanize.Comma(p.n), p.what)
		}
	}
	u.print(", in %s\n", elapsed(v.Elapsed))
	u.quarantined(v.Quarantined)
	u.failures(v.Failures, v.Failed(), nil)
	if v.Failed() > 0 && !repair && slices.ContainsFunc(v.Failures, isToRepair) {
		u.lines("hint", fmt.Sprintf("fetch them again with: mimicsync verify %s@%s --repair", v.Dataset, v.Version))
	}
}

// isToRepair reports whether fetching a file again can mend it: not where a symlink
// stands in its place.
func isToRepair(f store.Failure) bool { return f.Reason != string(failure.ReasonUnsafePath) }

func (u *ui) status(all []standing, mirror string) {
	if len(all) == 0 {
		u.print("The mirror %s has no dataset yet.\n", mirror)
		return
	}
	w := tabwriter.NewWriter(u.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "DATASET\tVERSION\tVERIFIED\tOF\tSIZE\tLAST PASS\tENDED")
	for _, s := range all {
		state, when := "-", "-"
		if s.Last != nil {
			state = s.Last.State.String()
			if kind := daemon.Kind(s.Last.Kind); kind == daemon.VerifyPass || kind == daemon.ScrubPass { // complete does not say that all is here
				state = s.Last.Kind + ": " + state
			}
			when = s.Last.Start.Add(time.Duration(s.Last.Elapsed * float64(time.Second))).Local().Format("2006-01-02 15:04")
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Dataset, s.Version, humanize.Comma(s.Files), humanize.Comma(s.Entries), size(s.Bytes), state, when)
	}
	_ = w.Flush()
	for _, s := range all {
		if s.Last == nil || s.Last.State == store.Complete {
			continue
		}
		u.print("\n%s%s: %s", s.Dataset, after(s.Version), s.Last.State)
		if s.Last.Error != "" && s.Last.State != store.Interrupted {
			u.print(": %s", s.Last.Error)
		}
		u.print("\n")
		u.failures(s.Last.Failures, s.Last.Files.Failed, nil)
	}
}

func (u *ui) datasets(all []manifest.Dataset) {
	w := tabwriter.NewWriter(u.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tVERSION\tACCESS\tFILES\tSIZE\tSOURCES\tTITLE")
	for _, d := range all {
		files, bytes := "?", "?"
		if d.Files > 0 {
			files = humanize.Comma(d.Files)
		}
		if d.Bytes > 0 {
			bytes = size(d.Bytes)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Slug, d.Version, d.Access, files, bytes, strings.Join(knownSources(d), ","), d.Title)
	}
	_ = w.Flush()
	u.print("\nVersions and sizes are those known to this build; pull takes the newest version there is.\n" +
		"Credentialed datasets need an account, a training and a signed agreement: https://physionet.org/content/NAME/\n")
}

// knownSources are those that are known to have a dataset.
func knownSources(d manifest.Dataset) []string {
	names := []string{physionet.Name}
	if d.GCS != "" {
		names = append(names, gcs.Name)
	}
	if d.S3 != "" {
		names = append(names, s3.Name)
	}
	return names
}

func (u *ui) projects(all []physionet.Project) {
	w := tabwriter.NewWriter(u.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tVERSION\tACCESS\tSIZE\tTITLE")
	for _, p := range all {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(p.Slug), printable(p.Version), printable(first(p.Access, "?")), size(p.Bytes), printable(p.Title))
	}
	_ = w.Flush()
}

func size(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return humanize.Comma(n) + " " + what + "s"
}

// elapsed rounds a time to what a person cares for.
func elapsed(d time.Duration) string {
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

// printable keeps a hostile name from writing to the terminal what it likes, and
// from looking like more than one line.
func printable(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) || r == utf8.RuneError }) {
		return strconv.Quote(name)
	}
	return name
}

// tame does so for text of several lines and columns, some words of which may be
// a server's: what a terminal would obey is shown instead.
func tame(text string) string {
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
