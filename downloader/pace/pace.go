package pace

import "time"

// pace spaces requests out in time, for a host that counts requests and not connections. It
// is off until the host refuses a request for being too fast. Then it is slightly below the
// rate that the host answers, and rises, slowly at first and faster the longer nothing is
// refused. Guarded by its Budget.
type pace struct {
	rate float64   // requests per second; 0 while off
	rise float64   // the part by which it rises next
	due  time.Time // of the next request
	cut  time.Time // when it was last lowered

	// Good answers, which show what the host can stand.
	since   time.Time
	answers int
	seen    float64 // good answers per second, in the time before since
}

const (
	paceWindow = 250 * time.Millisecond // in which answers are counted
	paceCut    = 0.95
	paceStart  = 50   // requests per second, if nothing is known yet
	paceGuess  = 0.5  // of the rate, after the first window, when it is a guess
	paceRise   = 0.01 // or when it is known
	paceLift   = 1.5  // times as much after each further window without a refusal
	paceTop    = 1e4  // requests per second: as good as no limit
)

func (p *pace) on() bool { return p.rate > 0 }

// start starts a request.
func (p *pace) start(now time.Time) {
	if p.rate > 0 {
		between := time.Duration(float64(time.Second) / p.rate)
		// Makes up for the lateness of a timer.
		if late := now.Sub(p.due); late > 4*between {
			p.due = now
		}
		p.due = p.due.Add(between)
	}
}

// answered notes a good answer, and lets the pace rise.
func (p *pace) answered(now time.Time) {
	p.answers++
	if !p.measured(now) || p.rate == 0 {
		return
	}
	p.rate *= 1 + p.rise
	p.rise = min(p.rise*paceLift, 1)
	if p.rate > paceTop {
		p.rate = 0
	}
}

// measured ends a window of answers, if it is time. One that took much longer contained a
// pause, and says nothing.
func (p *pace) measured(now time.Time) bool {
	elapsed := now.Sub(p.since)
	if elapsed < paceWindow {
		return false
	}
	if elapsed < 2*paceWindow {
		p.seen = float64(p.answers) / elapsed.Seconds()
	}
	p.since, p.answers = now, 0
	return true
}

// slower lowers the pace after a refusal. Refusals come in bursts, so a burst counts once.
func (p *pace) slower(now time.Time) {
	if p.rate > 0 && now.Sub(p.cut) < paceWindow {
		return
	}
	p.rise = paceRise
	switch elapsed := now.Sub(p.since); {
	case p.rate > 0 && p.seen > 0:
		p.rate = min(p.rate, p.seen)
	case p.rate > 0:
		p.rate /= 2
		p.rise = paceGuess / 2
	case p.seen > paceStart:
		p.rate = p.seen
	default: // the host just became busy
		p.rate = max(float64(p.answers)/max(elapsed, paceWindow/5).Seconds(), paceStart)
		p.rise = paceGuess
	}
	p.rate, p.cut = max(p.rate*paceCut, 1), now
	p.since, p.answers = now, 0
}
