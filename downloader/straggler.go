package downloader

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/downloader/segment"
)

// stragglers finds connections that are far slower than others of the same source:
// what goes wrong with one of them, on the way or at the host, may go on for as long
// as a byte comes now and then. Such a connection is broken off, what it has brought
// stays, and the rest is asked for anew. A host that is slow to everybody is left
// alone, and so is one that turns out to be as slow when asked again: the next try
// then is further away each time. Guarded by its crowd.
type stragglers struct {
	running map[*running]struct{}
	seen    map[*candidate]*rates

	// The last one that was broken off, until it is known what came of that.
	last     *transfer
	lastRate float64
	next     time.Time // not before is another one broken off, or that judged
	wait     time.Duration
	marked   time.Time // when marks were last set
}

// running is a connection with a segment.
type running struct {
	t    *transfer
	g    *segment.Segment
	c    *candidate
	stop context.CancelCauseFunc

	begun time.Time
	from  int64 // bytes of the object that were before, then
	// Its bytes at a time at least stragglerAge ago, and since then: the same time
	// for all that run.
	then, since mark
	slow        time.Time // since when it has been far slower than others, zero if it is not
}

// mark is how many bytes there were at a time.
type mark struct {
	time time.Time
	at   int64
}

// rates are what the last requests to a source brought that succeeded. Those that
// took long count for more: they tell what a connection brings in the long run, and
// whether the line has become slow.
type rates struct {
	last [5]struct {
		bytes int64
		took  time.Duration
	}
	n int
}

const (
	// stragglerAge is the least time over which a connection's rate is taken, and
	// at most twice as much.
	stragglerAge = 5 * time.Second
	// stragglerLasts is how long it must be slower than others, so that what they
	// brought before the line became slow is not held against it.
	stragglerLasts = 2 * stragglerAge
	// stragglerPart of its peers' rate is what makes a straggler. Hosts that slow
	// connections down after a burst do so by less.
	stragglerPart = 0.1
	// stragglerLeft is how long it must still take to be worth it.
	stragglerLeft = 20 * time.Second
	// stragglerPeers is how many others it takes to know what is usual.
	stragglerPeers = 2
	// stragglerBetter is how many times faster the rest must come, or it was no use.
	stragglerBetter  = 4
	minStragglerWait = 20 * time.Second
	maxStragglerWait = time.Hour
)

// errStraggler ends a connection that is far slower than others.
var errStraggler = errors.New("the connection is far slower than others")

func newStragglers() stragglers {
	return stragglers{running: map[*running]struct{}{}, seen: map[*candidate]*rates{}}
}

// begin notes that a connection is at work; stop breaks it off.
func (c *crowd) begin(t *transfer, g *segment.Segment, from *candidate, stop context.CancelCauseFunc) *running {
	at, _ := t.segs.Progress(g)
	now := mark{time.Now(), at}
	r := &running{t: t, g: g, c: from, stop: stop, begun: now.time, from: at, then: now, since: now}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stragglers.running[r] = struct{}{}
	return r
}

// end notes how a connection has ended.
func (c *crowd) end(r *running, err error) {
	at, _ := r.t.segs.Progress(r.g)
	elapsed := time.Since(r.begun)
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.stragglers
	delete(s.running, r)
	if err != nil || at <= r.from || elapsed <= 0 {
		return
	}
	if s.seen[r.c] == nil {
		s.seen[r.c] = new(rates)
	}
	s.seen[r.c].add(at-r.from, elapsed)
}

func (r *rates) add(bytes int64, took time.Duration) {
	last := &r.last[r.n%len(r.last)]
	last.bytes, last.took = bytes, took
	r.n++
}

// perSecond is the rate of all of them together; it is not known of few.
func (r *rates) perSecond() (rate float64, known bool) {
	if r == nil || r.n < stragglerPeers {
		return 0, false
	}
	var bytes int64
	var took time.Duration
	for _, last := range r.last {
		bytes, took = bytes+last.bytes, took+last.took
	}
	return float64(bytes) / took.Seconds(), true
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// rates returns those of all connections, but for those that are too young to
// tell, or have brought nothing yet: their answer is waited for.
func (s *stragglers) rates(now time.Time) map[*running]float64 {
	known := map[*running]float64{}
	due := now.Sub(s.marked) >= stragglerAge
	for r := range s.running {
		at, _ := r.t.segs.Progress(r.g)
		if due {
			r.then, r.since = r.since, mark{now, at}
		}
		if elapsed := now.Sub(r.then.time); elapsed >= stragglerAge && at > r.from {
			known[r] = float64(at-r.then.at) / elapsed.Seconds()
		}
	}
	if due {
		s.marked = now
	}
	return known
}

// straggler looks for a connection to break off, and returns it with its rate and
// that of its peers, nil if there is none.
func (c *crowd) straggler(now time.Time) (found *running, own, peers float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.stragglers
	known := s.rates(now)
	if !now.Before(s.next) {
		s.learn(now, known)
	}
	for r, rate := range known {
		usual := s.usual(r, known)
		_, left := r.t.segs.Progress(r.g)
		switch {
		case rate >= stragglerPart*usual || float64(left) < rate*stragglerLeft.Seconds():
			r.slow = time.Time{}
		case r.slow.IsZero():
			r.slow = now
		case now.Sub(r.slow) >= stragglerLasts && (found == nil || rate < own) && !now.Before(s.next) && r.t.resumable():
			found, own, peers = r, rate, usual
		}
	}
	if found != nil {
		s.last, s.lastRate, s.next = found.t, own, now.Add(stragglerLasts)
	}
	return found, own, peers
}

// learn judges what came of breaking off the last one.
func (s *stragglers) learn(now time.Time, known map[*running]float64) {
	if s.last == nil {
		return
	}
	better := true // it is over
	for r := range s.running {
		if r.t == s.last {
			rate, ok := known[r]
			better = better && (!ok || rate >= stragglerBetter*s.lastRate)
		}
	}
	s.last = nil
	if better {
		s.wait = 0
		return
	}
	s.wait = min(max(2*s.wait, minStragglerWait), maxStragglerWait)
	s.next = now.Add(s.wait)
}

// usual is the rate of a connection's peers, 0 if it is not known: of those that
// ended lately, or of those that run beside it if that is less. Then the line has
// become slow, and not the connection.
func (s *stragglers) usual(r *running, known map[*running]float64) float64 {
	var beside []float64
	for other, rate := range known {
		if other != r && other.c == r.c {
			beside = append(beside, rate)
		}
	}
	ended, some := s.seen[r.c].perSecond()
	switch {
	case !some && len(beside) < stragglerPeers:
		return 0
	case !some:
		return median(beside)
	case len(beside) == 0:
		return ended
	}
	return min(ended, median(beside))
}

// resumable reports whether what is here can stay if a connection is broken off:
// there is a validator to go on under, or what is here is not worth one.
func (t *transfer) resumable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stray == 0 && t.void == "" && (t.meta.Validator != "" || t.segs.Have() <= overlap)
}

// runStragglers breaks off connections that are far slower than others, until
// stop is closed.
func (p *pass) runStragglers(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			r, own, peers := p.crowd.straggler(now)
			if r == nil {
				continue
			}
			p.s.Logger.WarnContext(ctx, "connection broken off: far slower than others", "dataset", p.ref.String(), "object", r.t.entry.Path, "from", r.c.Name(),
				"rate", humanize.Bytes(uint64(own))+"/s", "others", humanize.Bytes(uint64(peers))+"/s")
			r.stop(errStraggler)
		}
	}
}
