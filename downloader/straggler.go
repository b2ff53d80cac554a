package downloader

import (
	"context"
	"errors"
	"slices"
	"time"
)

// stragglers finds connections that are far slower than others of the same source:
// what goes wrong with one of them, on the way or at the host, may go on for as long
// as a byte comes now and then. Such a connection is broken off, what it has brought
// stays, and the rest is asked for anew. A host that is slow to everybody is left
// alone, and so is one that turns out to be as slow when asked again: the next try
// then is minutes away. Guarded by its crowd.
type stragglers struct {
	running map[*running]struct{}
	seen    map[*candidate]*rates

	// The last one that was broken off, until it is known what came of that.
	last     *transfer
	lastRate float64
	next     time.Time // not before is another one broken off, or that judged
	wait     time.Duration
}

// running is a connection with a segment.
type running struct {
	t    *transfer
	g    *segment
	c    *candidate
	stop context.CancelCauseFunc

	begun time.Time
	from  int64 // bytes of the object that were before, then
	// Its bytes at a time at least stragglerAge ago, and since then.
	then, since mark
}

// mark is how many bytes there were at a time.
type mark struct {
	time time.Time
	at   int64
}

// rates are those of the last requests to a source that succeeded, in bytes per
// second, with all of the time that they took.
type rates struct {
	last [32]float64
	n    int
}

const (
	// stragglerAge is the time over which a connection's rate is taken.
	stragglerAge = 10 * time.Second
	// stragglerPart of its peers' rate is what makes a straggler. Hosts that slow
	// connections down after a burst do so by less.
	stragglerPart = 0.1
	// stragglerLeft is how long it must still take to be worth it.
	stragglerLeft = 20 * time.Second
	// stragglerPeers is how many others it takes to know what is usual.
	stragglerPeers = 2
	// stragglerBetter is how many times faster the rest must come, or it was no use.
	stragglerBetter  = 4
	minStragglerWait = time.Minute
	maxStragglerWait = time.Hour
)

// errStraggler ends a connection that is far slower than others.
var errStraggler = errors.New("the connection is far slower than others")

func newStragglers() stragglers {
	return stragglers{running: map[*running]struct{}{}, seen: map[*candidate]*rates{}}
}

// begin notes that a connection is at work; stop breaks it off.
func (c *crowd) begin(t *transfer, g *segment, from *candidate, stop context.CancelCauseFunc) *running {
	at, _ := t.segs.progress(g)
	now := mark{time.Now(), at}
	r := &running{t: t, g: g, c: from, stop: stop, begun: now.time, from: at, then: now, since: now}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stragglers.running[r] = struct{}{}
	return r
}

// end notes how a connection has ended.
func (c *crowd) end(r *running, err error) {
	at, _ := r.t.segs.progress(r.g)
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
	s.seen[r.c].add(float64(at-r.from) / elapsed.Seconds())
}

func (r *rates) add(rate float64) {
	r.last[r.n%len(r.last)] = rate
	r.n++
}

func (r *rates) list() []float64 {
	if r == nil {
		return nil
	}
	return r.last[:min(r.n, len(r.last))]
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// rate is that of the last while, unless the connection is too young to tell, or
// has brought nothing yet: then its answer is waited for.
func (r *running) rate(now time.Time) (perSecond float64, known bool) {
	at, _ := r.t.segs.progress(r.g)
	if now.Sub(r.since.time) >= stragglerAge {
		r.then, r.since = r.since, mark{now, at}
	}
	elapsed := now.Sub(r.then.time)
	if elapsed < stragglerAge || at == r.from {
		return 0, false
	}
	return float64(at-r.then.at) / elapsed.Seconds(), true
}

// straggler looks for a connection to break off, and returns it with its rate and
// that of its peers, nil if there is none.
func (c *crowd) straggler(now time.Time) (found *running, own, peers float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.stragglers
	known := map[*running]float64{}
	for r := range s.running {
		if rate, ok := r.rate(now); ok {
			known[r] = rate
		}
	}
	if now.Before(s.next) {
		return nil, 0, 0
	}
	s.learn(now, known)
	if now.Before(s.next) {
		return nil, 0, 0
	}
	for r, rate := range known {
		usual := s.usual(r, known)
		_, left := r.t.segs.progress(r.g)
		if rate >= stragglerPart*usual || float64(left) < rate*stragglerLeft.Seconds() || !r.t.resumable() {
			continue
		}
		if found == nil || rate < own {
			found, own, peers = r, rate, usual
		}
	}
	if found != nil {
		s.last, s.lastRate, s.next = found.t, own, now.Add(stragglerAge+2*time.Second)
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
	ended := s.seen[r.c].list()
	switch {
	case len(ended) < stragglerPeers && len(beside) < stragglerPeers:
		return 0
	case len(ended) < stragglerPeers:
		return median(beside)
	case len(beside) == 0:
		return median(ended)
	}
	return min(median(ended), median(beside))
}

// resumable reports whether what is here can stay if a connection is broken off:
// there is a validator to go on under, or what is here is not worth one.
func (t *transfer) resumable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stray == 0 && t.void == "" && (t.meta.Validator != "" || t.segs.have() <= overlap)
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
				"rate", size(int64(own))+"/s", "others", size(int64(peers))+"/s")
			r.stop(errStraggler)
		}
	}
}
