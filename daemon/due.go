package daemon

import "time"

// leastGap is how long after a refresh began the schedule's next time no longer counts as
// missed: a refresh that began late, by hand or before the clock was set isn't done twice
// in a row. A quicker schedule is followed as it is.
const leastGap = 2 * time.Hour

// nextTime returns the schedule's next time after something last began, in the past if it
// was missed. All times are of the wall clock.
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

// correct returns when something last began, corrected for a clock that was set back since:
// a time in the future becomes now, so that the next one isn't as late as the clock was
// wrong. A difference of up to one step of the schedule, at most a day, stays: what was
// done at a time isn't done again when that time comes again.
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

// isDue reports whether a time has come; the zero time never has.
func isDue(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// earliest returns the earlier of two times, ignoring zero times.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
