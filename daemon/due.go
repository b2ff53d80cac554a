package daemon

import "time"

// leastGap is how long after a refresh began the schedule's next time counts as
// missed no more: what began late, or by hand, or before the clock was set, is not
// done twice in a row. A schedule that is quicker than that itself is kept.
const leastGap = 2 * time.Hour

// nextTime returns when the schedule wants something again that began last; that
// is in the past if it was missed. All times are of the wall clock.
func nextTime(schedule *Schedule, last time.Time) time.Time {
	next := schedule.Next(last)
	if next.IsZero() || next.Sub(last) >= leastGap || isQuick(schedule, next) {
		return next
	}
	return schedule.Next(next)
}

// isQuick reports whether the schedule has times that are close to each other.
func isQuick(schedule *Schedule, from time.Time) bool {
	for range 8 {
		next := schedule.Next(from)
		if !next.IsZero() && next.Sub(from) < 2*leastGap {
			return true
		}
		from = next
	}
	return false
}

// correct returns the time at which something began last, for a clock that has
// been set back since: a time to come is taken for now, so that the next one is
// not as far off as the clock was wrong. Up to one step of the schedule, a day at
// most, is let stand: what was done at a time is not done when that comes again.
func correct(schedule *Schedule, last, now time.Time) time.Time {
	ahead := last.Sub(now)
	if ahead <= 0 {
		return last
	}
	next := schedule.Next(now)
	if ahead > min(24*time.Hour, schedule.Next(next).Sub(next)) {
		return now
	}
	return last
}

// isDue reports whether a time has come; the zero time never does.
func isDue(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// earliest returns the first of two times; a zero one does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
