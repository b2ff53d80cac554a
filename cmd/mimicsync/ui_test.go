package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mimicsync/daemon"
	"mimicsync/downloader"
	"mimicsync/store"
)

// A server that says what a terminal would obey (a title, a cursor that moves up,
// a line that is written over, text that runs backwards) is quoted, wherever its
// words are told.
func TestAServersWordsDoNotReachTheTerminal(t *testing.T) {
	const evil = "no\x1b]0;owned\a\x1b[2A\r\u009b31m\u202etrap\x7f\u0085"
	var out strings.Builder
	u := &ui{stdout: &out, stderr: &out}
	failures := []store.Failure{{Path: "a\x1b[2J", Reason: "network", Detail: evil + "\nmimicsync: hint: type this"}}
	u.explain(&downloader.AccessError{Source: "s3", Detail: evil})
	u.note("%s", evil)
	u.report(&downloader.Report{
		State: store.Incomplete, Files: store.Files{Total: 1, Failed: 1}, Failures: failures, AuthorityErr: errors.New(evil),
		Sources: []downloader.SourceReport{{Name: "s3", Dropped: evil}, {Name: "gcs"}},
	})
	u.status([]standing{{Last: &daemon.LastPass{State: store.Failed, Error: evil, Failures: failures}}}, "/data")
	u.running(daemon.Status{Datasets: []daemon.DatasetStatus{{Dataset: "demo", Condition: daemon.Parked, Why: evil, Cure: evil}}})
	text := out.String()
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
	if got, want := strings.Join(standingNow(d), ", "), "demo: paused: it is paused"; got != want {
		t.Errorf("standingNow = %q, want %q", got, want)
	}
	d.Condition = daemon.Idle
	if got := strings.Join(standingNow(d), ", "); !strings.Contains(got, ", next refresh ") || !strings.Contains(got, ", next verification ") {
		t.Errorf("standingNow = %q, want what is next", got)
	}
}

// A dataset of which no version came is told of by its name alone.
func TestADatasetWithoutAVersion(t *testing.T) {
	var out strings.Builder
	u := &ui{stdout: &out, stderr: &out}
	u.status([]standing{{Dataset: "closed", Last: &daemon.LastPass{State: store.Failed, Error: "denied"}}}, "/data")
	if !strings.Contains(out.String(), "\nclosed: failed: denied\n") {
		t.Errorf("status:\n%s", &out)
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
