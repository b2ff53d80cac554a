package words

import (
	"testing"
	"time"
)

func TestNumbersAndTimesReadLikeEnglish(t *testing.T) {
	now := time.Date(2026, time.March, 3, 14, 15, 0, 0, time.Local)
	for _, test := range []struct{ got, want string }{
		{Size(2_342_500), "2.3 MB"},
		{Size(-1), "0 B"},
		{Count(1, "file"), "1 file"},
		{Count(1523, "file"), "1,523 files"},
		{Plural(1, "retry", "retries"), "1 retry"},
		{Plural(3, "retry", "retries"), "3 retries"},
		{Elapsed(0), "1ms"},
		{Elapsed(1234 * time.Millisecond), "1.23s"},
		{Elapsed(75 * time.Second), "1m15s"},
		{Elapsed(26*time.Hour + 5*time.Minute), "26h05m"},
		{Roughly(0), "1 s"},
		{Roughly(80 * time.Minute), "80 min"},
		{Roughly(31 * time.Hour), "31 h"},
		{Roughly(20 * 24 * time.Hour), "20 days"},
		{Countdown(112 * time.Second), "1m52s"},
		{Countdown(90 * time.Minute), "1h30m"},
		{Countdown(72 * time.Hour), "3 days"},
		{Clock(now.Add(2*time.Minute), now), "14:17:00"},
		{Clock(now.Add(5*time.Hour), now), "19:15"},
		{Clock(now.Add(31*time.Hour), now), "Wed 21:15"},
		{Clock(now.AddDate(0, 1, 0), now), "2026-04-03 14:15"},
		{After(""), ""},
		{After("demo"), " demo"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

// A hint is copied into a shell, so a folder with a space or a quote must survive that.
func TestShellQuote(t *testing.T) {
	for arg, want := range map[string]string{"/data/x": "/data/x", "": "''", "my data": "'my data'", "it's": `'it'\''s'`, "$(id)": "'$(id)'"} {
		if got := ShellQuote(arg); got != want {
			t.Errorf("ShellQuote(%q) = %s, want %s", arg, got, want)
		}
	}
}

func TestHostileNamesAreQuoted(t *testing.T) {
	for name, want := range map[string]string{"files/p10/ä.csv": "files/p10/ä.csv", "a\x1b[2J": `"a\x1b[2J"`, "two\nlines": `"two\nlines"`} {
		if got := Printable(name); got != want {
			t.Errorf("Printable(%q) = %s, want %s", name, got, want)
		}
	}
	if got, want := Tame("one\n\ttwo\r\x1b[2J"), "one\n\ttwo\\r\\x1b[2J"; got != want {
		t.Errorf("Tame = %q, want %q", got, want)
	}
}
