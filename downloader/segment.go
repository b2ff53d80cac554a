package downloader

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"mimicsync/store"
)

// unknownEnd is where a segment ends whose object's size is unknown.
const unknownEnd = math.MaxInt64

// segment is a byte range of an object: those before at are in the partial.
// Guarded by the segments it belongs to; at is written by its worker alone.
type segment struct {
	from, at, end int64
	busy          bool
	started       time.Time // when its worker took it
	startedAt     int64     // at, then
	marked        int64     // at, when it was last recorded
	stop          context.CancelCauseFunc
}

// left is how much of it is missing.
func (g *segment) left() int64 { return g.end - g.at }

// rate is that of its worker in bytes per second; it is not known at once.
func (g *segment) rate() (perSecond float64, known bool) {
	elapsed := time.Since(g.started)
	return float64(g.at-g.startedAt) / elapsed.Seconds(), elapsed > leastTime/2
}

// segments is an object cut into ranges: in order, without gaps, from 0 to its
// end. Safe for concurrent use.
type segments struct {
	mu      sync.Mutex
	list    []*segment
	shared  bool          // several connections may work on it
	moved   bool          // something was written since it was last recorded
	changed chan struct{} // closed when a segment is released, nil while nobody waits for that
	rate    float64       // of the last worker that was done, bytes per second
	first   segment       // of most objects the only one
	only    [1]*segment   // and the list then
}

// reset makes it one segment of an object whose first at bytes are here. A
// worker that is at it, the only one then, has that segment.
func (s *segments) reset(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &s.first
	for _, busy := range s.list {
		if busy.busy {
			g = busy
		}
	}
	*g = segment{at: at, marked: at, end: unknownEnd, busy: g.busy, started: time.Now(), startedAt: at, stop: g.stop}
	if s.list == nil {
		s.list = s.only[:0]
	}
	s.list = append(s.list[:0], g)
	s.shared, s.moved = false, false
}

// restore makes it what a record says of an object of a known size: front
// bytes from the start, and ranges ahead of them.
func (s *segments) restore(front, size int64, ahead []store.Range) {
	s.reset(front)
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.list[0]
	for _, r := range ahead {
		if r.From <= last.at || r.From >= r.To || r.To > size {
			continue // not what this program records
		}
		last.end = r.From
		s.list = append(s.list, &segment{from: r.From, at: r.To, end: r.To, marked: r.To})
		last = &segment{from: r.To, at: r.To, marked: r.To, end: unknownEnd}
		s.list = append(s.list, last)
	}
	last.end = size
}

// setSize says where the object ends, unless that is unknown.
func (s *segments) setSize(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if size >= 0 {
		s.list[len(s.list)-1].end = size
	}
}

// share lets other connections in.
func (s *segments) share() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = true
}

// unshare keeps others out who are not in yet.
func (s *segments) unshare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = false
}

// alone keeps other connections out. It fails if some are in, or have been:
// then there are bytes ahead of a gap.
func (s *segments) alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sequential() {
		return false
	}
	s.shared = false
	return true
}

// sequential reports whether all that is here is the object's start, with at
// most one connection on it.
func (s *segments) sequential() bool {
	busy := 0
	for i, g := range s.list {
		if g.busy {
			busy++
		}
		if i > 0 && g.at > g.from && s.list[i-1].left() > 0 {
			return false
		}
	}
	return busy <= 1
}

// front is how many bytes are here from the start without a gap.
func (s *segments) front() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frontLocked()
}

func (s *segments) frontLocked() int64 {
	for _, g := range s.list {
		if g.left() > 0 {
			return g.at
		}
	}
	return s.list[len(s.list)-1].end
}

// have is how many bytes are here, wherever.
func (s *segments) have() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.list {
		n += g.at - g.from
	}
	return n
}

// last is where the last byte ends that is here.
func (s *segments) last() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.list {
		if g.at > g.from {
			n = g.at
		}
	}
	return n
}

// written notes that a segment's worker wrote n bytes, and returns how many it
// has written since the last checkpoint.
func (s *segments) written(g *segment, n int) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.at += int64(n)
	s.moved = true
	return g.at - g.marked
}

// limit is how many bytes a worker may still read into its segment, at most n.
func (s *segments) limit(g *segment, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(min(int64(n), g.left()))
}

// progress returns where a worker has got to in its segment, and what is left.
func (s *segments) progress(g *segment) (at, left int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.at, g.left()
}

// release ends a worker's hold on a segment. Neighbours that are complete
// become one.
func (s *segments) release(g *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rate, _ := g.rate(); rate > 0 {
		s.rate = rate
	}
	g.busy, g.stop = false, nil
	for i := len(s.list) - 1; i > 0; i-- {
		if a, b := s.list[i-1], s.list[i]; !a.busy && !b.busy && a.left() == 0 && b.left() == 0 {
			a.at, a.end = b.at, b.end
			s.list = slices.Delete(s.list, i, i+1)
		}
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// busy returns whether connections are at work, and if so, a channel that is
// closed when one of them is done.
func (s *segments) busy() (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.list, func(g *segment) bool { return g.busy }) {
		return false, nil
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return true, s.changed
}

// interrupt breaks off all connections and lets no other in.
func (s *segments) interrupt(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = false
	for _, g := range s.list {
		if g.busy {
			g.stop(cause)
		}
	}
}

// record returns what is here for a record: the bytes from the start, and the
// ranges ahead of them.
func (s *segments) record() (front int64, ahead []store.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	front, s.moved = s.frontLocked(), false
	for _, g := range s.list {
		g.marked = g.at
		if g.at <= front || g.at == g.from {
			continue
		}
		if n := len(ahead); n > 0 && ahead[n-1].To == g.from {
			ahead[n-1].To = g.at
		} else {
			ahead = append(ahead, store.Range{From: g.from, To: g.at})
		}
	}
	return front, ahead
}

// hasMoved reports whether a record would be another than the last one.
func (s *segments) hasMoved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moved
}
