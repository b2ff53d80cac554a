package daemon_test

import (
	"strings"
	"testing"
	"time"

	"mimicsync/daemon"
)

func TestWindowsOpenAndClose(t *testing.T) {
	const (
		berlin  = "Europe/Berlin"
		newYork = "America/New_York"
	)
	for _, test := range []struct {
		name    string
		windows []string
		zone    string
		from    string   // a moment
		open    bool     // then
		changes []string // and the changes that follow
	}{
		{"no windows", nil, berlin, "2026-01-05 12:00 +0100", true, nil},
		{"the whole week", []string{"Mon-Thu 00:00-24:00", "Fri-Sun 00:00-24:00"}, berlin, "2026-01-05 12:00 +0100", true, nil},
		{"all day by another beginning", []string{"06:00-18:00", "18:00-06:00"}, berlin, "2026-01-05 12:00 +0100", true, nil},
		{
			"nights",
			[]string{"22:00-06:00"},
			berlin, "2026-01-05 12:00 +0100", false,
			[]string{"2026-01-05 22:00 +0100", "2026-01-06 06:00 +0100", "2026-01-06 22:00 +0100"},
		},
		{"at the moment of opening", []string{"22:00-06:00"}, berlin, "2026-01-05 22:00 +0100", true, []string{"2026-01-06 06:00 +0100"}},
		{"at the moment of closing", []string{"22:00-06:00"}, berlin, "2026-01-05 06:00 +0100", false, []string{"2026-01-05 22:00 +0100"}},
		{"the zone decides", []string{"22:00-06:00"}, newYork, "2026-01-05 06:00 +0100", true, []string{"2026-01-05 06:00 -0500"}},
		{
			"nights and weekends", []string{"Mon-Fri 19:00-07:00", "Sat 07:00-24:00", "sun 00:00-24:00"}, berlin, "2026-01-09 12:00 +0100", false, // a Friday
			[]string{"2026-01-09 19:00 +0100", "2026-01-12 00:00 +0100", "2026-01-12 19:00 +0100"},
		},
		{
			"through the week's end", []string{"Sun 22:00-08:00"}, berlin, "2026-01-12 03:00 +0100", true, // a Monday
			[]string{"2026-01-12 08:00 +0100", "2026-01-18 22:00 +0100"},
		},
		{
			"days through the week's end",
			[]string{"Sat-Mon 10:00-11:00"},
			"UTC", "2026-01-10 10:30 +0000", true,
			[]string{"2026-01-10 11:00 +0000", "2026-01-11 10:00 +0000", "2026-01-11 11:00 +0000", "2026-01-12 10:00 +0000", "2026-01-12 11:00 +0000", "2026-01-17 10:00 +0000"},
		},
		{
			"one that ends where the next begins",
			[]string{"Sat 00:00-24:00", "Sun 00:00-12:00"},
			"UTC", "2026-01-10 10:30 +0000", true,
			[]string{"2026-01-11 12:00 +0000", "2026-01-17 00:00 +0000"},
		},
		{
			"a night that is an hour short",
			[]string{"22:00-06:00"},
			berlin, "2026-03-28 12:00 +0100", false,
			[]string{"2026-03-28 22:00 +0100", "2026-03-29 06:00 +0200"},
		},
		{
			"a night that is an hour long",
			[]string{"22:00-06:00"},
			newYork, "2026-10-31 12:00 -0400", false,
			[]string{"2026-10-31 22:00 -0400", "2026-11-01 06:00 -0500"},
		},
		{
			"one that spring jumps over",
			[]string{"02:00-03:00"},
			berlin, "2026-03-28 02:30 +0100", true,
			[]string{"2026-03-28 03:00 +0100", "2026-03-30 02:00 +0200"},
		},
		{
			"a pause that spring jumps over",
			[]string{"01:00-02:00", "03:00-04:00"},
			berlin, "2026-03-29 01:30 +0100", true,
			[]string{"2026-03-29 04:00 +0200", "2026-03-30 01:00 +0200"},
		},
		{
			"one whose end comes twice",
			[]string{"01:00-02:30"},
			berlin, "2026-10-25 00:00 +0200", false,
			[]string{"2026-10-25 01:00 +0200", "2026-10-25 02:30 +0200", "2026-10-26 01:00 +0100"},
		},
		{"in the hour that comes twice", []string{"02:15-02:45"}, berlin, "2026-10-25 02:30 +0100", false, []string{"2026-10-26 02:15 +0100"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, err := daemon.ParseWindows(test.windows, test.zone)
			if err != nil {
				t.Fatal(err)
			}
			moment, wantOpen := at(t, test.from), test.open
			for _, want := range test.changes {
				open, changes := w.Open(moment)
				if open != wantOpen || !changes.Equal(at(t, want)) {
					t.Fatalf("Open(%s) = %t, until %s, want %t, until %s", moment, open, changes, wantOpen, want)
				}
				moment, wantOpen = changes, !open
			}
			open, changes := w.Open(moment)
			if open != wantOpen || changes.IsZero() != (len(test.changes) == 0) {
				t.Errorf("Open(%s) = %t, until %s, want %t", moment, open, changes, wantOpen)
			}
		})
	}
}

func TestWindowsWithoutValueAreAlwaysOpen(t *testing.T) {
	if open, changes := (daemon.Windows{}).Open(time.Now()); !open || !changes.IsZero() {
		t.Errorf("Open = %t, until %s", open, changes)
	}
}

func TestParseWindowsRefuses(t *testing.T) {
	for _, test := range []struct {
		name    string
		windows []string
		zone    string
		want    []string
	}{
		{"a word", []string{"nights"}, "", []string{`"nights"`, "not a time window"}},
		{"an hour that is not", []string{"22:00-25:00"}, "", []string{"22:00-25:00", "hours"}},
		{"a minute that is not", []string{"22:60-23:00"}, "", []string{"22:60", "hours"}},
		{"a beginning at 24:00", []string{"24:00-06:00"}, "", []string{"hours"}},
		{"a day that is not", []string{"Sam 00:00-24:00"}, "", []string{"Sam", "Mon, Tue"}},
		{"no length", []string{"22:00-22:00"}, "", []string{"ends when it begins"}},
		{"the same twice", []string{"22:00-06:00", "22:00-06:00"}, "", []string{"overlap"}},
		{"overlapping", []string{"01:00-02:00", "22:00-06:00", "Sat 00:00-24:00"}, "", []string{`"01:00-02:00"`, `"22:00-06:00"`, "overlap"}},
		{"overlapping through midnight", []string{"Fri 19:00-07:00", "Sat 06:59-08:00"}, "", []string{`"Fri 19:00-07:00"`, `"Sat 06:59-08:00"`}},
		{"overlapping through the week's end", []string{"Mon 06:00-07:00", "Sun 19:00-06:30"}, "", []string{"Mon", "Sun"}},
		{"a zone that is not", nil, "Mars/Olympus", []string{"Mars/Olympus"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := daemon.ParseWindows(test.windows, test.zone)
			if err == nil {
				t.Fatal("ParseWindows succeeds")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("ParseWindows = %v, want it to name %q", err, want)
				}
			}
		})
	}
}
