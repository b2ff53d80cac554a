package pace

import (
	"math"
	"time"
)

// growth is how a Budget's limit grows.
type growth int

const (
	byAnswer growth = iota // by one with each answer that brought bytes
	doubling
	probing // by some, and back if they bring nothing
)

const (
	rampWindow     = 250 * time.Millisecond // while doubling: at least a few round trips
	rampAnswers    = 2                      // or as many times as long as a new connection needs for its first byte
	steadyWindow   = 2 * time.Second        // while probing
	maxProbeWait   = time.Minute            // between probes that brought nothing
	worthwhile     = 0.5                    // of their share, which more connections must bring to be kept
	worthDouble    = 0.15                   // of the flow before, which twice as many must bring in addition
	fewAnswers     = 16                     // in a window; fewer say nothing about the number of connections,
	severalAnswers = 2                      // nor do fewer per connection
	probePart      = 8                      // a part of the limit that is tried on top of it at first
)

// window is a time in which a Budget counts what arrives, to compare it with the window
// before the limit last changed.
type window struct {
	start    time.Time
	bytes    int64
	answers  int64
	starved  bool // someone waited for a connection
	held     bool // someone waited for the pace, or for other answers
	previous flow
	probed   int // how much higher than before the limit is in this window
}

// flow is what a host delivers per second.
type flow struct {
	bytes   float64
	answers float64 // 0 if too few to mean anything
	chance  float64 // the part by which answers differ from window to window by chance
}

// flow returns the flow of a window under a limit. Answers count if each connection had
// several: otherwise it is chance how many ended within the window.
func (w *window) flow(elapsed time.Duration, limit int) flow {
	f := flow{bytes: float64(w.bytes) / elapsed.Seconds()}
	if w.answers >= fewAnswers && w.answers >= severalAnswers*int64(limit) {
		f.answers = float64(w.answers) / elapsed.Seconds()
		f.chance = 1 / math.Sqrt(float64(w.answers))
	}
	return f
}

// exceeds reports whether a flow exceeds another by some part, in bytes or in answers. If
// small files arrive beside a big one, the bytes are those of the big file and the answers
// those of the small ones; one of them may fall because a file ended, just when more
// connections bring more of the other.
func (f flow) exceeds(other flow, part float64) bool {
	if f.bytes > 0 && f.bytes >= other.bytes*(1+part) {
		return true
	}
	return other.answers > 0 && f.answers >= other.answers*(1+max(part, f.chance))
}

// grow adds a connection for an answer, at first.
func (b *Budget) grow(now time.Time) {
	if b.growth != byAnswer || len(b.waiting) == 0 || b.manners.limit > 0 {
		return
	}
	if b.limit >= modestConnections {
		b.growth = doubling
		b.setLimit(now, b.limit)
		b.window.previous = flow{}
		return
	}
	b.limit = min(b.limit+1, b.ceiling)
}

// windowLength is how long a limit stays before its flow is judged: while doubling, long
// enough for new connections to deliver something.
func (b *Budget) windowLength() time.Duration {
	if b.growth != doubling {
		return steadyWindow
	}
	return min(max(rampWindow, rampAnswers*b.replies.first), steadyWindow)
}

// count adds bytes to the window and, at its end, decides about the limit.
func (b *Budget) count(now time.Time, n int) {
	w := &b.window
	w.bytes += int64(n)
	elapsed := now.Sub(w.start)
	if elapsed < b.windowLength() {
		return
	}
	came := w.flow(elapsed, b.limit)
	switch {
	case !w.starved && len(b.waiting) == 0: // the queue is short, so more connections would be idle
		b.setLimit(now, b.limit)
		w.previous = came
	case b.growth == byAnswer: // few answers yet: the files are big
		b.setLimit(now, b.limit)
		b.grow(now)
	case b.growth == doubling && came.exceeds(w.previous, worthDouble):
		if came.answers == 0 { // too few, as while new connections are being made
			came.answers = w.previous.answers
		}
		w.previous = came
		if b.raise(now, b.limit); b.limit == b.ceiling && w.probed == 0 {
			b.growth = probing
		}
	case b.growth == doubling && came.answers == 0 && w.answers > 0 && elapsed < steadyWindow:
		// The answers may show what the bytes don't, and are too few yet.
	case b.growth == doubling: // the last doubling brought nothing: continue from before it, a few at a time
		b.growth = probing
		b.setLimit(now, b.limit-w.probed)
	case w.probed > 0 && !came.exceeds(w.previous, worthwhile*float64(w.probed)/float64(b.limit)):
		b.probeWait, b.probeStep = min(max(2*b.probeWait, steadyWindow), maxProbeWait), 0
		b.probeAt = now.Add(b.probeWait)
		b.setLimit(now, b.limit-w.probed)
	case w.probed > 0:
		w.previous, b.probeWait = came, 0
		b.probeStep = min(2*b.probeStep, max(b.limit/2, 1))
		b.probe(now)
	default:
		w.previous = came
		b.probe(now)
	}
}

// probe tries more connections, unless that is known to be too much, or something else
// keeps requests waiting.
func (b *Budget) probe(now time.Time) {
	step := max(b.probeStep, b.limit/probePart, 1)
	if r := &b.refusals; r.wall > 0 && now.Before(r.wallTill) {
		step = min(step, r.wall-1-b.limit)
	}
	if now.Before(b.probeAt) || b.window.held || step < 1 {
		b.setLimit(now, b.limit)
		return
	}
	b.probeStep = step
	b.raise(now, step)
}

// raise starts a window with a higher limit.
func (b *Budget) raise(now time.Time, step int) {
	before := b.limit
	b.setLimit(now, b.limit+step)
	b.window.probed = b.limit - before
}

// setLimit sets the limit and starts a new window.
func (b *Budget) setLimit(now time.Time, limit int) {
	b.limit = min(max(limit, 1), b.ceiling)
	b.window = window{start: now, previous: b.window.previous}
}
