package terminal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/store"
)

// A server that says what a terminal would obey (a title, a cursor that moves up,
// a line that is written over, text that runs backwards) is quoted, wherever its
// words are told.
func TestAServersWordsDoNotReachTheTerminal(t *testing.T) {
	const evil = "no\x1b]0;owned\a\x1b[2A\r\u009b31m\u202etrap\x7f\u0085"
	var out strings.Builder
	u := &UI{Stdout: &out, Stderr: &out}
	failures := []store.Failure{{Path: "a\x1b[2J", Reason: "network", Detail: evil + "\nmimicsync: hint: type this"}}
	u.Explain(&source.AccessError{Source: "s3", Detail: evil})
	u.Notef("%s", evil)
	u.Report(&report.Report{
		State: store.Incomplete, Files: store.Files{Total: 1, Failed: 1}, Failures: failures, AuthorityErr: errors.New(evil),
		Sources: []report.SourceReport{{Name: "s3", Dropped: evil}, {Name: "gcs"}},
	})
	u.Status([]VersionStatus{{Last: &daemon.LastPass{State: store.Failed, Error: evil, Failures: failures}}}, "/data")
	u.Running(daemon.Status{Datasets: []daemon.DatasetStatus{{Dataset: "demo", Condition: daemon.Parked, Why: evil, Cure: evil}}})
	u.Running(daemon.Status{Datasets: []daemon.DatasetStatus{{Dataset: "demo", Waiting: &progress.Wait{For: "gcs", Why: evil}}}})
	newBar(&out, "demo", nil).drawLine(strings.TrimPrefix(fitWait("demo", progress.Wait{For: "gcs", Why: evil}, time.Now(), 300), "\r"))
	text := strings.ReplaceAll(out.String(), "\rdemo", "demo") // the bar's own
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !strings.ContainsRune(printableText, r) }); i >= 0 {
		t.Errorf("a terminal would obey %q of:\n%q", text[i:min(i+8, len(text))], text)
	}
	if strings.Contains(text, "\nmimicsync: hint: type this") {
		t.Errorf("a failure has a line of its own:\n%s", text)
	}
	if n := strings.Count(text, `no\x1b]0;owned\a\x1b[2A\r\u009b31m\u202etrap\x7f\u0085`); n < 8 {
		t.Errorf("the words are told %d times, want 8 or more:\n%s", n, text)
	}
}

// What is paused does not begin when the schedule would have it begin.
func TestWhatIsPausedHasNothingNext(t *testing.T) {
	d := daemon.DatasetStatus{Dataset: "demo", Condition: daemon.Paused, Why: "it is paused", Next: time.Now(), NextScrub: time.Now()}
	if got, want := strings.Join(datasetLine(d, time.Now()), ", "), "demo: paused: it is paused"; got != want {
		t.Errorf("datasetLine = %q, want %q", got, want)
	}
	d.Condition = daemon.Idle
	if got := strings.Join(datasetLine(d, time.Now()), ", "); !strings.Contains(got, ", next refresh ") || !strings.Contains(got, ", next verification ") {
		t.Errorf("datasetLine = %q, want what is next", got)
	}
}

// What a pass waits for stands where its numbers do, or would.
func TestStatusSaysWhatIsWaitedFor(t *testing.T) {
	now := time.Date(2026, time.March, 3, 14, 1, 28, 0, time.Local)
	busy := &progress.Wait{For: "gcs", Why: "status 503 (busy)", Since: now.Add(-8 * time.Second), Until: now.Add(92 * time.Second)}
	for _, c := range []struct {
		d    daemon.DatasetStatus
		want string
	}{
		{
			daemon.DatasetStatus{Condition: daemon.Running, Waiting: busy, Pass: &daemon.PassStatus{Kind: daemon.PullPass, Retries: 1}},
			"demo: running: pull, waiting for gcs: status 503 (busy); next try 14:03:00, in 1m32s",
		},
		{
			daemon.DatasetStatus{Condition: daemon.Running, Waiting: busy, Pass: &daemon.PassStatus{Kind: daemon.RefreshPass, Version: "2.2", Total: 40, Done: 7}},
			"demo: running: refresh 2.2, 7 of 40 files, waiting for gcs: status 503 (busy); next try 14:03:00, in 1m32s",
		},
		{
			daemon.DatasetStatus{Condition: daemon.Queued, Waiting: &progress.Wait{
				For: "the pass before it", Why: "a scrub of demo has been running since 13:50:00", Since: now.Add(-time.Minute),
			}},
			"demo: queued, waiting for the pass before it: a scrub of demo has been running since 13:50:00",
		},
		{
			daemon.DatasetStatus{Condition: daemon.Closed, Why: "the run window is closed", Next: now.Add(5 * time.Hour), Waiting: &progress.Wait{For: "the run window"}},
			"demo: closed: the run window is closed, next refresh 2026-03-03 19:01",
		},
	} {
		c.d.Dataset = "demo"
		if got := strings.Join(datasetLine(c.d, now), ", "); got != c.want {
			t.Errorf("datasetLine = %q, want %q", got, c.want)
		}
	}
}

// A dataset of which no version came is told of by its name alone.
func TestADatasetWithoutAVersion(t *testing.T) {
	var out strings.Builder
	u := &UI{Stdout: &out, Stderr: &out}
	u.Status([]VersionStatus{{Dataset: "closed", Last: &daemon.LastPass{State: store.Failed, Error: "denied"}}}, "/data")
	if !strings.Contains(out.String(), "\nclosed: failed: denied\n") {
		t.Errorf("status:\n%s", &out)
	}
}

// JSON shows the characters that a terminal hides.
func TestJSONHidesNothing(t *testing.T) {
	var out strings.Builder
	if err := (&UI{Stdout: &out}).JSON(map[string]string{"detail": "\u202e\u0085"}); err != nil || out.String() != "{\n  \"detail\": \"\\u202e\\u0085\"\n}\n" {
		t.Errorf("json = %v, %q", err, &out)
	}
}

// printableText is what those who tell it need.
var printableText = func() string {
	var b strings.Builder
	for r := ' '; r <= '~'; r++ {
		b.WriteRune(r)
	}
	return b.String()
}()
