package daemon

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Windows are the times of a week at which passes may run. The zero value means always.
// Like a Schedule, they follow the wall clock: a window opens when the clock first reaches
// its beginning, and closes when it first reaches its end.
type Windows struct {
	spans []span // in the order of their beginnings
	zone  *time.Location
}

// span is one window on one day, in minutes since Monday 00:00; until may be in the next
// week.
type span struct {
	from, until int
	text        string
}

const (
	day  = 24 * 60 // minutes
	week = 7 * day
)

// ParseWindows reads windows like "22:00-06:00", "Sat 00:00-24:00" or "Mon-Fri
// 19:00-07:00", in a time zone (empty: the machine's). The days are those on which a window
// begins. If windows overlap, the error names both.
func ParseWindows(texts []string, zone string) (Windows, error) {
	location, err := loadZone(zone)
	if err != nil {
		return Windows{}, err
	}
	w := Windows{zone: location}
	var minutes int
	for _, text := range texts {
		spans, err := parseWindow(text)
		if err != nil {
			return Windows{}, err
		}
		for _, s := range spans {
			if i := slices.IndexFunc(w.spans, s.overlaps); i >= 0 {
				return Windows{}, fmt.Errorf("the windows %q and %q overlap", w.spans[i].text, text)
			}
			minutes += s.until - s.from
		}
		w.spans = append(w.spans, spans...)
	}
	if minutes == week {
		return Windows{}, nil
	}
	slices.SortFunc(w.spans, func(a, b span) int { return a.from - b.from })
	return w, nil
}

func (s span) overlaps(o span) bool {
	for _, later := range []int{-week, 0, week} {
		if s.from < o.until+later && o.from+later < s.until {
			return true
		}
	}
	return false
}

var windowForm = regexp.MustCompile(`^(?:(\pL{3})(?:-(\pL{3}))? +)?(\d\d?:\d\d)-(\d\d?:\d\d)$`)

// parseWindow returns the days of a window.
func parseWindow(text string) ([]span, error) {
	bad := func(why string) error {
		return fmt.Errorf("%q is not a time window like \"22:00-06:00\", \"Sat 00:00-24:00\" or \"Mon-Fri 19:00-07:00\"%s", text, why)
	}
	m := windowForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return nil, bad("")
	}
	first, last := 0, 6
	if m[1] != "" {
		first = weekday(m[1])
		last = first
	}
	if m[2] != "" {
		last = weekday(m[2])
	}
	from, until := minute(m[3]), minute(m[4])
	switch {
	case first < 0 || last < 0:
		return nil, bad(": the days are " + strings.Join(weekdays, ", "))
	case from < 0 || from == day || until < 0:
		return nil, bad(": the hours are 00:00 to 24:00")
	case from == until:
		return nil, bad(": it ends when it begins; for a whole day, write 00:00-24:00")
	case until < from:
		until += day
	}
	var spans []span
	for d := first; ; d = (d + 1) % 7 {
		spans = append(spans, span{d*day + from, d*day + until, text})
		if d == last {
			return spans, nil
		}
	}
}

var weekdays = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

func weekday(name string) int {
	return slices.IndexFunc(weekdays, func(d string) bool { return strings.EqualFold(d, name) })
}

// minute returns the minutes since midnight of a time like 19:30, up to 24:00; -1 if there
// is no such time.
func minute(text string) int {
	if text == "24:00" {
		return day
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return -1
	}
	return t.Hour()*60 + t.Minute()
}

// Open reports whether passes may run at t, and when that changes next; zero if never.
func (w Windows) Open(t time.Time) (open bool, changes time.Time) {
	if len(w.spans) == 0 {
		return true, time.Time{}
	}
	shown := clock(t, w.zone)
	sinceMonday := (int(shown.Weekday()) + 6) % 7
	monday := time.Date(shown.Year(), shown.Month(), shown.Day()-sinceMonday, 0, 0, 0, 0, time.UTC)
	for minutes := -week; minutes <= 2*week; minutes += week {
		for _, s := range w.spans {
			from := reach(monday.Add(time.Duration(minutes+s.from)*time.Minute), w.zone)
			until := reach(monday.Add(time.Duration(minutes+s.until)*time.Minute), w.zone)
			switch {
			case !until.After(t) || !until.After(from): // over, or skipped
			case !open && from.After(t):
				return false, from
			case open && from.After(changes):
				return true, changes
			default: // where one ends and the next begins, nothing changes
				open, changes = true, until
			}
		}
	}
	return open, changes
}
