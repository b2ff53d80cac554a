package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// A program that reads the log learns the unit of a time from its name; a person
// reads it with its unit.
func TestTimesInTheLogHaveAUnit(t *testing.T) {
	line := func(format string) string {
		var log strings.Builder
		a := newApp(io.Discard, &log)
		a.verbose, a.logFormat = true, format
		a.logger().Warn("retry", "dataset", "demo", "wait", 90*time.Second+500*time.Millisecond)
		return log.String()
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(line("json")), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{"level": "WARN", "msg": "retry", "dataset": "demo", "wait_s": 90.5}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log's line (-want +got):\n%s", diff)
	}
	if text := line("text"); !strings.HasSuffix(text, " wait=1m30.5s\n") {
		t.Errorf("the log's line is %q, want it to end with the wait", text)
	}
}

// What a server said is in the log, in short, and does nothing to a terminal.
func TestTheLogIsShortAndPlain(t *testing.T) {
	said := errors.New("the answer is \u009b31m\u202etxt.exe " + strings.Repeat("ä", 1<<20))
	for _, format := range []string{"json", "text"} {
		var log bytes.Buffer
		a := newApp(io.Discard, &log)
		a.verbose, a.logFormat = true, format
		a.logger().Warn("retry", "err", said, "object", said.Error(), "wait", time.Second)
		text := log.String()
		if len(text) > 3*maxLogged || !utf8.ValidString(text) || !strings.Contains(text, `\u202etxt.exe`) ||
			strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }) {
			t.Errorf("%s: %d bytes: %.200q", format, len(text), text)
		}
	}
}
