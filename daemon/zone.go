package daemon

import (
	"fmt"
	"time"
	_ "time/tzdata" // zone names work on machines without a tz database, too
)

// loadZone returns the time zone of a name, the machine's if it is empty.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q; names are like Europe/Berlin, America/New_York or UTC", name)
	}
	return zone, nil
}

// clock is what a clock in the zone shows at t, as if it were UTC: good for arithmetic,
// because days have 24 hours there.
func clock(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// reach returns the first moment at which a clock in the zone shows wanted or later: in
// spring the clock skips an hour, in autumn it repeats one. A later wanted time is never
// reached earlier.
func reach(wanted time.Time, zone *time.Location) time.Time {
	const farthest = 26 * time.Hour // no zone is that far from UTC
	for t := wanted.Add(-farthest).In(zone); ; {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		at := wanted.Add(-time.Duration(offset) * time.Second).In(zone)
		switch {
		case !end.IsZero() && !at.Before(end):
			t = end // the clock is set before it shows that
		case at.Before(t):
			return t // it was set past that
		default:
			return at
		}
	}
}
