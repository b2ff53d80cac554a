package daemon

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// Schedule says when something is due: a cron expression in a time zone, spread by a
// jitter. The zero value is never due.
//
// It follows the wall clock. A time that the clock skips in spring is due right after the
// skip, and a time that comes twice in autumn is due only the first time: a daily schedule
// at 02:30 is due exactly once on each day of the year, and an hourly one isn't due in the
// repeated hour.
type Schedule struct {
	text   string
	spec   *cron.SpecSchedule // in UTC, see clock; nil: never due
	zone   *time.Location
	offset time.Duration // added to each time of spec
}

// ParseSchedule reads a cron expression of five fields, or a word like @daily, in a time
// zone of the tz database (empty: the machine's). If both a day of the month and a day of
// the week are given, either matches, as in a crontab. Each due time is delayed by less
// than jitter, by a number of whole seconds that depends on key only: not every mirror asks
// at midnight. A time that never comes, like February 30, is an error.
func ParseSchedule(expression, zone string, jitter time.Duration, key string) (*Schedule, error) {
	spec, err := parseCron(expression)
	if err != nil {
		return nil, fmt.Errorf("%q is not a cron expression like \"30 3 * * 1\" or @daily: %w", expression, err)
	}
	location, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	if jitter < 0 {
		return nil, fmt.Errorf("the jitter %s is negative", jitter)
	}
	s := &Schedule{text: expression, spec: spec, zone: location, offset: offsetOf(jitter, key)}
	if s.Next(time.Now()).IsZero() {
		return nil, fmt.Errorf("%q is never due: no month has that day", expression)
	}
	return s, nil
}

// offsetOf returns a time from 0 to less than jitter.
func offsetOf(jitter time.Duration, key string) time.Duration {
	seconds := jitter / time.Second
	if seconds == 0 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // it never fails
	return time.Duration(h.Sum32()) % seconds * time.Second
}

// cronParser reads what crontab(5) describes. Without DowOrDom, "0 3 1 * 1" would be due
// only on Mondays that are the first of a month. February 29 may be eight years away,
// around 2100.
var cronParser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom).
	WithMaxSearchYears(8)

func parseCron(expression string) (*cron.SpecSchedule, error) {
	if strings.Contains(expression, "TZ=") {
		return nil, errors.New("leave out TZ=; the setting timezone names the time zone")
	}
	parsed, err := cronParser.Parse(strings.TrimSpace(expression))
	if err != nil {
		return nil, err
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("@every and @reboot don't follow the clock")
	}
	spec.Location = time.UTC
	return spec, nil
}

// Next returns the first due time after t, zero if there is none.
func (s *Schedule) Next(t time.Time) time.Time {
	if s.spec == nil {
		return time.Time{}
	}
	t = t.Add(-s.offset)
	for shown := s.spec.Next(clock(t, s.zone)); !shown.IsZero(); shown = s.spec.Next(shown) {
		// In autumn, the clock may have shown it before t already.
		if due := reach(shown, s.zone); due.After(t) {
			return due.Add(s.offset)
		}
	}
	return time.Time{}
}

// String is the expression as it was written.
func (s *Schedule) String() string { return s.text }
