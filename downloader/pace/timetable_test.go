package pace

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // DST is tested wherever the tests run

	"github.com/google/go-cmp/cmp"
)

func TestSizesAreThoseOfRclone(t *testing.T) {
	for text, want := range map[string]int64{
		"10M": 10 << 20, "512k": 512 << 10, "1.5G": 3 << 29, "2T": 2 << 40, "1P": 1 << 50, "100": 100 << 10, "0.5": 512,
		"100B": 100, "10Mi": 10 << 20, "10MiB": 10 << 20, "7K": 7 << 10, "off": 0, "OFF": 0, "0": 0,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "M", "ten", "-1M", "10Q", "10MB", "1,5M", "10 M", "inf", "nan", "nank", "1e300", "99999P", "1Ⱥ", "Ⱥ", "1İ", "ⱥM"} {
		if got, err := ParseSize(text); err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "10M") {
			t.Errorf("ParseSize(%q) = %v, %v, want an error with the word and an example", text, got, err)
		}
	}
}

func TestParseTimetable(t *testing.T) {
	daily := func(minute int, rate int64) (all Timetable) {
		for day := range 7 {
			all = append(all, Slot{day*minutesPerDay + minute, rate})
		}
		return all
	}
	for text, want := range map[string]Timetable{
		"10M":                                {{0, 10 << 20}},
		" off ":                              {{0, 0}},
		"08:00,2M":                           daily(8*60, 2<<20),
		"Sun-20:00,off  monday-08:05,512k":   {{20 * 60, 0}, {minutesPerDay + 8*60 + 5, 512 << 10}},
		"Mon-00:00,1M SAT-23:59,1G":          {{minutesPerDay, 1 << 20}, {7*minutesPerDay - 1, 1 << 30}},
		"Tuesday-12:00,100 Tuesday-12:00,1G": {{2*minutesPerDay + 12*60, 100 << 10}, {2*minutesPerDay + 12*60, 1 << 30}},
	} {
		got, err := ParseTimetable(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("ParseTimetable(%q) = %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestABadTimetableSaysWhichWord(t *testing.T) {
	for text, want := range map[string][]string{
		"":                     {"empty", "10M"},
		"fast":                 {`"fast"`, "10M"},
		"10M:1M":               {`"10M:1M"`, "only downloads"},
		"08:00":                {`"08:00"`, "08:00,2M"},
		"08:00,2M 19:00":       {`"19:00"`, "comma"},
		"08:00,2M 19:00,2M:1M": {`"2M:1M"`, "only downloads"},
		"8:00,2M":              {`"8:00"`, "08:00"},
		"24:00,2M":             {`"24:00"`, "08:00"},
		"08:60,2M":             {`"08:60"`},
		"Mo-08:00,2M":          {`"Mo"`, "Mon-08:00"},
		"Mon-Tue-08:00,2M":     {`"Mon-Tue-08:00"`},
		"08:00,2X":             {`"2X"`},
		"1023B":                {`"1023B"`, "less than 1k"},
	} {
		_, err := ParseTimetable(text)
		if err == nil {
			t.Errorf("ParseTimetable(%q) succeeded", text)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("ParseTimetable(%q) = %v, want it to say %s", text, err, w)
			}
		}
	}
}

func TestTheTimetableGoesByTheClockOnTheWall(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const (
		office = "08:00,2M 19:00,off"
		week   = "Mon-08:00,512k Sat-20:00,off"
		night  = "02:30,1M 04:00,off"
	)
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, berlin)
	}
	sprung := at(time.March, 29, 0, 0) // at 02:00 it is 03:00
	fell := at(time.October, 25, 0, 0) // at 03:00 it is 02:00 again
	for _, tt := range []struct {
		table string
		now   time.Time
		want  int64
	}{
		{"10M", at(time.May, 4, 3, 0), 10 << 20},
		{office, at(time.May, 4, 7, 59), 0}, // since the evening before, across midnight
		{office, at(time.May, 4, 8, 0), 2 << 20},
		{office, at(time.May, 4, 18, 59), 2 << 20},
		{office, at(time.May, 4, 19, 0), 0},
		{office, at(time.May, 3, 0, 0), 0}, // Sunday, the week's first minute
		{week, at(time.May, 4, 7, 59), 0},
		{week, at(time.May, 4, 8, 0), 512 << 10},
		{week, at(time.May, 9, 19, 59), 512 << 10},
		{week, at(time.May, 9, 20, 0), 0},
		{week, at(time.May, 10, 12, 0), 0}, // Sunday: since Saturday, of the week before
		{night, sprung.Add(119 * time.Minute), 0},
		{night, sprung.Add(120 * time.Minute), 1 << 20}, // 03:00: 02:30 was skipped
		{night, sprung.Add(180 * time.Minute), 0},
		{night, fell.Add(150 * time.Minute), 1 << 20}, // 02:30 for the first time
		{night, fell.Add(180 * time.Minute), 0},       // 02:00 again
		{night, fell.Add(210 * time.Minute), 1 << 20},
	} {
		table, err := ParseTimetable(tt.table)
		if err != nil {
			t.Fatal(err)
		}
		if got := table.Rate(tt.now); got != tt.want {
			t.Errorf("%s at %s: %d, want %d", tt.table, tt.now.Format(time.RFC850), got, tt.want)
		}
	}
	if got := Timetable(nil).Rate(sprung); got != 0 {
		t.Errorf("no timetable: %d, want no limit", got)
	}
}

// What a person writes never ends the program.
func FuzzParseTimetable(f *testing.F) {
	for _, s := range []string{"10M", "1Ⱥ", "08:00,2M 19:00,off", "Mon-08:00,512k Sat-00:00,off", "İ-1:00,K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSize(s); n < 0 || err != nil && n != 0 {
			t.Errorf("ParseSize(%q) = %d, %v", s, n, err)
		}
		table, err := ParseTimetable(s)
		if err == nil && (len(table) == 0 || table[0].Rate < 0) {
			t.Errorf("ParseTimetable(%q) = %v", s, table)
		}
	})
}
