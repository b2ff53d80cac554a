package daemon_test

import (
	"strings"
	"testing"
	"time"

	"mimicsync/daemon"
)

// at reads a time such as "2026-03-29 01:59 +0100".
func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse("2006-01-02 15:04 -0700", text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func TestScheduleGoesByTheClockOnTheWall(t *testing.T) {
	const (
		berlin  = "Europe/Berlin"    // 02:00 is 03:00 on 2026-03-29, 03:00 is 02:00 on 2026-10-25
		newYork = "America/New_York" // 02:00 is 03:00 on 2026-03-08, 02:00 is 01:00 on 2026-11-01
		cairo   = "Africa/Cairo"     // 00:00 is 01:00 on 2026-04-24
		lord    = "Australia/Lord_Howe"
	)
	for _, test := range []struct {
		name, expression, zone string
		after                  string
		want                   []string
	}{
		{"every night", "30 3 * * *", berlin, "2026-01-05 03:30 +0100", []string{"2026-01-06 03:30 +0100", "2026-01-07 03:30 +0100"}},
		{"the zone decides, not that of the question", "0 12 * * *", newYork, "2026-01-05 12:00 +0100", []string{"2026-01-05 12:00 -0500"}},
		{"a word", "@weekly", berlin, "2026-01-05 00:00 +0100", []string{"2026-01-11 00:00 +0100"}},
		{"Sunday is 7 too", "0 4 * * 7", "UTC", "2026-01-05 00:00 +0000", []string{"2026-01-11 04:00 +0000"}},
		{"either day will do", "0 3 15 * 1", "UTC", "2026-01-10 00:00 +0000", []string{"2026-01-12 03:00 +0000", "2026-01-15 03:00 +0000"}},
		{"a leap day", "0 0 29 2 *", "UTC", "2096-03-01 00:00 +0000", []string{"2104-02-29 00:00 +0000"}},

		{"spring's hour that is not", "30 2 * * *", berlin, "2026-03-28 02:30 +0100", []string{"2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"}},
		{"spring in New York", "30 2 * * *", newYork, "2026-03-07 12:00 -0500", []string{"2026-03-08 03:00 -0400", "2026-03-09 02:30 -0400"}},
		{"spring every hour", "0 * * * *", berlin, "2026-03-29 00:30 +0100", []string{"2026-03-29 01:00 +0100", "2026-03-29 03:00 +0200", "2026-03-29 04:00 +0200"}},
		{"spring's midnight that is not", "@daily", cairo, "2026-04-23 12:00 +0200", []string{"2026-04-24 01:00 +0300", "2026-04-25 00:00 +0300"}},
		{"asked right after the jump", "30 2 * * *", berlin, "2026-03-29 03:00 +0200", []string{"2026-03-30 02:30 +0200"}},

		{"autumn's hour that comes twice", "30 2 * * *", berlin, "2026-10-24 12:00 +0200", []string{"2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"}},
		{"autumn in New York", "30 1 * * *", newYork, "2026-10-31 12:00 -0400", []string{"2026-11-01 01:30 -0400", "2026-11-02 01:30 -0500"}},
		{"asked in the second such hour", "30 2 * * *", berlin, "2026-10-25 02:10 +0100", []string{"2026-10-26 02:30 +0100"}},
		{"autumn every ten minutes", "*/10 * * * *", berlin, "2026-10-25 02:50 +0200", []string{"2026-10-25 03:00 +0100"}},
		{"half an hour twice", "45 1 * * *", lord, "2026-04-04 12:00 +1100", []string{"2026-04-05 01:45 +1100", "2026-04-06 01:45 +1030"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := daemon.ParseSchedule(test.expression, test.zone, 0, "")
			if err != nil {
				t.Fatal(err)
			}
			next := at(t, test.after)
			for _, want := range test.want {
				after := next
				if next = s.Next(after); !next.Equal(at(t, want)) {
					t.Fatalf("%s: Next(%s) = %s, want %s", s, after, next, want)
				}
			}
		})
	}
}

func TestScheduleIsDueOnEveryDayOfTheYear(t *testing.T) {
	for _, zone := range []string{"", "UTC", "Europe/Berlin", "America/New_York", "America/Havana", "America/Santiago", "Asia/Beirut", "Australia/Lord_Howe"} {
		for _, expression := range []string{"@daily", "30 0 * * *", "30 1 * * *", "30 2 * * *", "59 23 * * *"} {
			s, err := daemon.ParseSchedule(expression, zone, 0, "")
			if err != nil {
				t.Fatal(err)
			}
			zone := s.Next(time.Now()).Location()
			next := time.Date(2025, 12, 31, 23, 59, 59, 0, zone)
			for day := 1; day <= 365; day++ {
				after := next
				if next = s.Next(after); next.YearDay() != day {
					t.Fatalf("%s in %s: %s follows %s, and day %d is left out", s, zone, next, after, day)
				}
			}
		}
	}
}

func TestJitterPutsOffByTheKeysShare(t *testing.T) {
	exact, err := daemon.ParseSchedule("0 * * * *", "UTC", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	const jitter = 150 * time.Minute // more than the time between two due times
	start := at(t, "2026-01-05 00:00 +0000")
	offsets := map[time.Duration]bool{}
	for _, key := range []string{"mimiciv", "mimic-cxr", "mimic-cxr-jpg", "mimic-iv-demo", "mimiciii"} {
		s, err := daemon.ParseSchedule("0 * * * *", "UTC", jitter, key)
		if err != nil {
			t.Fatal(err)
		}
		next := s.Next(start)
		offset := next.Add(-jitter).Sub(exact.Next(next.Add(-jitter).Add(-time.Nanosecond))) // from the full hour before
		if wait := next.Sub(start); wait <= 0 || wait > time.Hour {
			t.Errorf("%s: the first due time after %s is %s", key, start, next)
		}
		for range 48 {
			after := next
			if next = s.Next(after); next.Sub(after) != time.Hour {
				t.Errorf("%s: %s follows %s", key, next, after)
			}
		}
		offsets[offset] = true
		again, _ := daemon.ParseSchedule("0 * * * *", "UTC", jitter, key)
		if got := again.Next(start); !got.Equal(s.Next(start)) || got.Nanosecond() != 0 {
			t.Errorf("%s: %s, and %s when parsed again", key, s.Next(start), got)
		}
	}
	if len(offsets) < 4 {
		t.Errorf("5 keys have %d offsets", len(offsets))
	}
}

func TestJitterIsNotMoreThanAllowed(t *testing.T) {
	midnight := at(t, "2026-01-06 00:00 +0000")
	for _, jitter := range []time.Duration{0, 999 * time.Millisecond, time.Second, 2 * time.Second, time.Hour} {
		for _, key := range []string{"", "a", "b", "mimiciv"} {
			s, err := daemon.ParseSchedule("@daily", "UTC", jitter, key)
			if err != nil {
				t.Fatal(err)
			}
			offset := s.Next(midnight.Add(-time.Nanosecond)).Sub(midnight)
			if offset < 0 || offset > 0 && offset >= jitter {
				t.Errorf("jitter %s, key %q: put off by %s", jitter, key, offset)
			}
		}
	}
}

func TestParseScheduleRefuses(t *testing.T) {
	for _, test := range []struct {
		name, expression, zone string
		jitter                 time.Duration
		want                   string
	}{
		{"nothing", "", "", 0, "not a cron expression"},
		{"four fields", "0 3 * *", "", 0, `"0 3 * *"`},
		{"seconds", "0 0 3 * * *", "", 0, "5 fields"},
		{"an hour that is not", "0 24 * * *", "", 0, "24"},
		{"a word that is not", "@fortnightly", "", 0, "@fortnightly"},
		{"a length instead of times", "@every 6h", "", 0, "the clock"},
		{"never by word", "@none", "", 0, "the clock"},
		{"an impossible date", "0 0 30 2 *", "", 0, "never due"},
		{"no minute at all", ", * * * *", "", 0, "never due"},
		{"a zone in the expression", "TZ=UTC 0 3 * * *", "", 0, "leave out TZ="},
		{"a zone that is not", "@daily", "Europe/Berlinn", 0, `"Europe/Berlinn"`},
		{"a path for a zone", "@daily", "../etc/passwd", 0, "time zone"},
		{"a negative jitter", "@daily", "", -time.Second, "jitter"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := daemon.ParseSchedule(test.expression, test.zone, test.jitter, "k")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ParseSchedule = %v, %v, want an error with %q", s, err, test.want)
			}
		})
	}
	if next := new(daemon.Schedule).Next(time.Now()); !next.IsZero() {
		t.Errorf("the zero Schedule is due at %s", next)
	}
}
