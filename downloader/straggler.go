package downloader

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"mimicsync/downloader/pace"
	"mimicsync/downloader/segment"
)

// stragglers finds connections that are far slower than others to the same source: a fault
// on one of them, on the way or at the host, can last as long as a byte arrives now and
// then. Such a connection is closed, its bytes stay, and the rest is requested again. A
// host that is slow for everyone is left alone, and so is one that is as slow when asked
// again: then the next try is further away each time. Guarded by its crowd.
type stragglers struct {
	running map[*running]struct{}
	seen    map[*candidate]*pace.Recent

	// The last one closed, until its effect is known.
	last     *transfer
	lastRate float64
	next     time.Time // before then no other is closed, and this one isn't judged
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
	from  int64 // bytes of the object that were present at the start
	// Its bytes at a time at least stragglerAge ago, and since then; the same time for all
	// that run.
	then, since mark
	slow        time.Time // since when it has been far slower than others; zero if it isn't
}

// mark is a number of bytes at a time.
type mark struct {
	time time.Time
	at   int64
}

const (
	// stragglerAge is the least time over which a connection's rate is measured; the most
	// is twice that.
	stragglerAge = 5 * time.Second
	// stragglerLasts is how long it must be slower than others, so that their bytes from
	// before the line became slow don't count against it.
	stragglerLasts = 2 * stragglerAge
	// stragglerPart of its peers' rate makes a straggler. Hosts that throttle connections
	// after a burst do so by less.
	stragglerPart = 0.1
	// stragglerLeft is how long it must still take to be worth closing.
	stragglerLeft = 20 * time.Second
	// stragglerPeers is how many others are needed to know what is usual.
	stragglerPeers = 2
	// stragglerBetter is how much faster the rest must arrive for the closing to count as
	// useful.
	stragglerBetter  = 4
	minStragglerWait = 20 * time.Second
	maxStragglerWait = time.Hour
)

// errStraggler ends a connection that is far slower than others.
var errStraggler = errors.New("the connection is far slower than others")

func newStragglers() stragglers {
	return stragglers{running: map[*running]struct{}{}, seen: map[*candidate]*pace.Recent{}}
}

// begin registers a working connection; stop closes it.
func (c *crowd) begin(t *transfer, g *segment.Segment, from *candidate, stop context.CancelCauseFunc) *running {
	at, _ := t.segs.Progress(g)
	now := mark{time.Now(), at}
	r := &running{t: t, g: g, c: from, stop: stop, begun: now.time, from: at, then: now, since: now}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stragglers.running[r] = struct{}{}
	return r
}

// end notes how a connection ended.
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
		s.seen[r.c] = new(pace.Recent)
	}
	s.seen[r.c].Add(at-r.from, elapsed)
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// rates returns the rates of all connections, except those that are too young to tell, or
// have received nothing yet.
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

// straggler looks for a connection to close, and returns it with its rate and that of its
// peers; nil if there is none.
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

// learn judges the effect of closing the last one.
func (s *stragglers) learn(now time.Time, known map[*running]float64) {
	if s.last == nil {
		return
	}
	better := true // it has ended
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

// usual is the rate of a connection's peers, 0 if unknown: of those that ended lately, or
// of those that run beside it, if that is less, since then the line has become slow and not
// the connection.
func (s *stragglers) usual(r *running, known map[*running]float64) float64 {
	var beside []float64
	for other, rate := range known {
		if other != r && other.c == r.c {
			beside = append(beside, rate)
		}
	}
	ended, some := s.seen[r.c].PerSecond(stragglerPeers)
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

// resumable reports whether the present bytes stay useful after the connection is closed:
// there is a validator to continue under, or they aren't worth one.
func (t *transfer) resumable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stray == 0 && t.void == "" && (t.meta.Validator != "" || t.segs.Have() <= overlap)
}

// runStragglers closes connections that are far slower than others, until stop is closed.
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
