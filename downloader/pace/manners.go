package pace

import (
	"slices"
	"time"
)

// manners leave a busy host to its readers: where answers take longer the more are
// waited for, requests stand in a queue there, and everybody else's behind them.
// Then fewer wait for their answer at once. Bodies that are on their way do not
// count: a host that sends them slowly on purpose is not busy. Guarded by its
// Budget.
//
// What an answer takes at the least, the floor, is what it takes while one or two
// are waited for. It is looked for again after some minutes, and where it is not
// known, which takes the time of a few answers.
type manners struct {
	limit   int // answers that may be waited for at once, 0 for any number
	floor   time.Duration
	floorAt time.Time // zero while it is not known

	waits  []time.Duration // for the answers of this window
	since  time.Time
	most   int       // answers that were waited for at once in this window
	slow   int       // windows in a row in which answers took too long
	bottom time.Time // since when they have taken too long though only few are waited for; zero if they do not

	// While the floor is looked for, what it is to go on with.
	seeking bool
	former  int           // the limit
	median  time.Duration // what answers took then
}

const (
	mannersWindow  = 200 * time.Millisecond
	mannersAnswers = 5
	// mannersHigh is how many times its floor an answer may take before fewer are
	// waited for, and mannersLow from which on more are. A reader's page then takes
	// less than twice its time.
	mannersHigh = 1.6
	mannersLow  = 1.3
	// mannersSlack is what answers may take in any case beyond their floor: on a near
	// host, milliseconds say more about the machines' schedulers than about queues.
	mannersSlack = 20 * time.Millisecond
	// mannersFew is how many answers are waited for where the floor is looked for.
	mannersFew = 2
	// floorLasts is how long a floor is believed: the route may be another one.
	floorLasts = 4 * time.Minute
	// bottomLasts is how long so few are waited for, while that makes no answer
	// faster, before that is taken for the floor: the line may be full of bodies.
	bottomLasts = 10 * time.Second
)

// permit reports whether one more answer may be waited for beside some others.
func (m *manners) permit(others int) bool { return m.limit == 0 || others < m.limit }

// answered notes how long an answer took from its request to its first byte, while
// so many others were waited for.
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
	case m.seeking && !few: // answers of requests from before
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

// found ends the search for the floor.
func (m *manners) found(now time.Time, median time.Duration) {
	m.seeking, m.limit = false, m.former
	m.floor, m.floorAt, m.slow = median, now, 0
}

// above and below are what answers take where fewer, or more, are to be waited for.
func (m *manners) above() time.Duration {
	return max(time.Duration(mannersHigh*float64(m.floor)), m.floor+mannersSlack)
}

func (m *manners) below() time.Duration {
	return max(time.Duration(mannersLow*float64(m.floor)), m.floor+mannersSlack*3/4)
}

// steer sets the limit by what answers take; most is how many may be waited for
// without one.
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
		if m.most < m.limit { // it is not what holds them back
			return
		}
		if m.limit += max(m.limit/4, 1); m.limit >= most {
			m.limit = 0
		}
	default:
		m.slow, m.bottom = 0, time.Time{}
	}
}

// rest is for a limit that has been set low: where that helps nobody for a while,
// answers take that long.
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
