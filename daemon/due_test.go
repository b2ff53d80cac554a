package daemon_test

import (
	"testing"
	"time"

	"mimicsync/daemon"
)

// A time is written as it is in Berlin, where the clock jumps on 2026-03-29 from 2
// to 3 and shows the hour from 2 to 3 twice on 2026-10-25.
func berlin(t *testing.T, s string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	must(t, err)
	at, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
	must(t, err)
	return at
}

// What began last decides when the schedule wants it again: in the past if it was
// missed, once however often it was missed, and not twice in a row.
func TestNextTime(t *testing.T) {
	for _, tt := range []struct{ name, schedule, last, next string }{
		{"on time", "0 3 * * *", "2026-06-01 03:00", "2026-06-02 03:00"},
		{"a little late", "0 3 * * *", "2026-06-01 03:01", "2026-06-02 03:00"},
		{"after a day asleep", "0 3 * * *", "2026-06-03 14:00", "2026-06-04 03:00"},
		{"missed for a week: the first of the missed ones", "0 3 * * *", "2026-06-01 03:00", "2026-06-02 03:00"},
		{"caught up just before the next", "0 3 * * *", "2026-06-02 02:30", "2026-06-03 03:00"},
		{"caught up well before the next", "0 3 * * *", "2026-06-02 00:30", "2026-06-02 03:00"},
		{"every quarter of an hour", "*/15 * * * *", "2026-06-01 03:01", "2026-06-01 03:15"},
		{"twice in the morning", "0 8,9 * * *", "2026-06-01 08:00", "2026-06-01 09:00"},
		{"the hour that spring leaves out", "30 2 * * *", "2026-03-28 02:30", "2026-03-29 03:00"},
		{"the day after", "30 2 * * *", "2026-03-29 03:00", "2026-03-30 02:30"},
		{"the hour that autumn has twice", "30 2 * * *", "2026-10-25 02:30", "2026-10-26 02:30"},
		{"weekly", "0 4 * * Sun", "2026-10-18 04:00", "2026-10-25 04:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := daemon.ParseSchedule(tt.schedule, "Europe/Berlin", 0, "")
			must(t, err)
			if got, want := daemon.NextTime(s, berlin(t, tt.last)), berlin(t, tt.next); !got.Equal(want) {
				t.Errorf("%q, last at %s: next at %s, want %s", tt.schedule, tt.last, got, want)
			}
		})
	}
}

// A clock that was set leaves times behind that are still to come, or long past.
func TestAClockThatWasSet(t *testing.T) {
	for _, tt := range []struct{ name, schedule, last, now, next string }{
		{"not at all", "0 3 * * *", "2026-06-01 03:00", "2026-06-01 12:00", "2026-06-02 03:00"},
		{"back by minutes, over the due time: not twice", "0 3 * * *", "2026-06-01 03:00", "2026-06-01 02:50", "2026-06-02 03:00"},
		{"back by hours", "0 3 * * *", "2026-06-01 03:00", "2026-05-31 22:00", "2026-06-02 03:00"},
		{"back by a year: goes on within a day", "0 3 * * *", "2027-06-01 03:00", "2026-06-01 12:00", "2026-06-02 03:00"},
		{"back by a day, every hour: goes on within the hour", "0 * * * *", "2026-06-02 03:00", "2026-06-01 03:10", "2026-06-01 04:00"},
		{"forward by a year: once, at once", "0 3 * * *", "2026-06-01 03:00", "2027-06-01 12:00", "2026-06-02 03:00"},
		{"forward and back again", "0 3 * * *", "2027-06-01 12:00", "2026-06-01 12:10", "2026-06-02 03:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := daemon.ParseSchedule(tt.schedule, "Europe/Berlin", 0, "")
			must(t, err)
			last := daemon.Correct(s, berlin(t, tt.last), berlin(t, tt.now))
			if got, want := daemon.NextTime(s, last), berlin(t, tt.next); !got.Equal(want) {
				t.Errorf("%q, last at %s, and it is %s: next at %s, want %s", tt.schedule, tt.last, tt.now, got, want)
			}
		})
	}
}
