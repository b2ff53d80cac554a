package pace

import (
	"slices"
	"time"
)

// manners leave a busy host to its readers: if answers take longer the more of them are
// awaited, requests queue there, and everyone else's behind them. Then fewer answers are
// awaited at once. Bodies being received don't count: a host that throttles them is not
// busy. Guarded by its Budget.
//
// The floor is the least time for an answer, measured while one or two are awaited. It is
// measured again after some minutes, and while unknown, which takes the time of a few
// answers.
type manners struct {
	limit   int // answers that may be awaited at once, 0 for any number
	floor   time.Duration
	floorAt time.Time // zero while unknown

	waits  []time.Duration // for the answers of this window
	since  time.Time
	most   int       // answers awaited at once in this window
	slow   int       // windows in a row in which answers took too long
	bottom time.Time // since when answers have taken too long though only few are awaited; zero if they don't

	// While the floor is measured: the values to return to.
	seeking bool
	former  int           // the limit
	median  time.Duration // what answers took then
}

const (
	mannersWindow  = 200 * time.Millisecond
	mannersAnswers = 5
	// mannersHigh is how many times its floor an answer may take before fewer are awaited,
	// and mannersLow from which on more are. Then the page of a reader takes less than
	// twice its time.
	mannersHigh = 1.6
	mannersLow  = 1.3
	// mannersSlack is what answers may take beyond their floor in any case: on a near host,
	// milliseconds say more about schedulers than about queues.
	mannersSlack = 20 * time.Millisecond
	// mannersFew is how many answers are awaited while the floor is measured.
	mannersFew = 2
	// floorLasts is how long a floor is believed, since the route may change.
	floorLasts = 4 * time.Minute
	// bottomLasts is how long so few are awaited, without faster answers, before that is
	// taken for the floor: the line may be full of bodies.
	bottomLasts = 10 * time.Second
)

// permit reports whether one more answer may be awaited beside some others.
func (m *manners) permit(others int) bool { return m.limit == 0 || others < m.limit }

// answered notes how long an answer took from its request to its first byte, while so many
// others were awaited.
func (m *manners) answered(now time.Time, took time.Duration, others, most int) {
	if m.since.IsZero() {
		m.since = now
	}
	m.waits = append(m.waits, took)
	m.most = max(m.most, others+1)
	if now.Sub(m.since) < mannersWindow && !m.seeking || len(m.waits) < max(mannersAnswers, min(m.most, 64)) {
		return
	}
	slices.Sort(m.waits)
	m.judge(now, m.waits[len(m.waits)/2], most)
	m.waits, m.most, m.since = m.waits[:0], 0, now
}

// judge decides by the median of a window.
func (m *manners) judge(now time.Time, median time.Duration, most int) {
	few := m.most <= mannersFew
	known := !m.floorAt.IsZero() && now.Sub(m.floorAt) < floorLasts
	switch {
	case m.seeking && !few: // answers to earlier requests
		return
	case m.seeking:
		m.found(now, median)
		return
	case few && (!known || median < m.floor):
		m.floor, m.floorAt = median, now
	case !known && median <= mannersSlack: // whatever the floor is, this is no queue
		m.slow = 0
		return
	case !known:
		m.seeking, m.former, m.median, m.limit = true, m.limit, median, mannersFew
		return
	case median < m.floor:
		m.floor, m.floorAt = median, now
	}
	m.steer(now, median, most)
}

// found ends the measurement of the floor.
func (m *manners) found(now time.Time, median time.Duration) {
	m.seeking, m.limit = false, m.former
	m.floor, m.floorAt, m.slow = median, now, 0
}

// above and below are the times from which on fewer, or more, answers are awaited.
func (m *manners) above() time.Duration {
	return max(time.Duration(mannersHigh*float64(m.floor)), m.floor+mannersSlack)
}

func (m *manners) below() time.Duration {
	return max(time.Duration(mannersLow*float64(m.floor)), m.floor+mannersSlack*3/4)
}

// steer sets the limit by the time of answers; most is how many may be awaited without one.
func (m *manners) steer(now time.Time, median time.Duration, most int) {
	switch high := m.above(); {
	case median > high:
		if m.slow++; m.slow < 2 { // once may be chance, or many handshakes at once
			return
		}
		m.slow = 0
		m.limit = max(int(float64(m.most)*max(float64(high)/float64(median), 0.5)*0.9), mannersFew)
		m.rest(now)
	case median < m.below() && m.limit > 0:
		m.slow, m.bottom = 0, time.Time{}
		if m.most < m.limit { // the limit isn't what holds them back
			return
		}
		if m.limit += max(m.limit/4, 1); m.limit >= most {
			m.limit = 0
		}
	default:
		m.slow, m.bottom = 0, time.Time{}
	}
}

// rest is for a low limit: if it helps nobody for a while, answers simply take that long.
func (m *manners) rest(now time.Time) {
	switch {
	case m.limit > mannersFew:
		m.bottom = time.Time{}
	case m.bottom.IsZero():
		m.bottom = now
	case now.Sub(m.bottom) >= bottomLasts:
		m.bottom, m.floorAt = time.Time{}, time.Time{}
	}
}
