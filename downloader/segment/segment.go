// Package segment divides one object into byte ranges for several connections, and keeps
// the running digest of its bytes in order. It makes no request, and touches files only to
// read back what was written ahead of the digest.
package segment

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"mimicsync/store"
)

// unknownEnd is the end of a segment whose object has an unknown size.
const unknownEnd = math.MaxInt64

// Segment is a byte range of an object; its bytes before at are in the partial. Guarded by
// its List; at is written by its worker alone.
type Segment struct {
	from, At, end int64
	busy          bool
	started       time.Time // when its worker took it
	startedAt     int64     // at, then
	marked        int64     // at, when last recorded
	stop          context.CancelCauseFunc
}

// left is how many bytes it misses.
func (g *Segment) left() int64 { return g.end - g.At }

// rate is its worker's, in bytes per second; unknown at first.
func (g *Segment) rate() (perSecond float64, known bool) {
	elapsed := time.Since(g.started)
	return float64(g.At-g.startedAt) / elapsed.Seconds(), elapsed > LeastTime/2
}

// List is an object cut into ranges: in order, without gaps, from 0 to its end. Safe for
// concurrent use.
type List struct {
	mu      sync.Mutex
	list    []*Segment
	shared  bool          // several connections may work on it
	moved   bool          // something was written since it was last recorded
	changed chan struct{} // closed when a segment is released; nil while nobody waits
	rate    float64       // of the last worker that ended, bytes per second
	first   Segment       // the only one of most objects
	only    [1]*Segment   // the list then
}

// Reset makes it one segment of an object whose first at bytes are present. A worker that
// holds it, the only one then, keeps that segment.
func (s *List) Reset(at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &s.first
	for _, busy := range s.list {
		if busy.busy {
			g = busy
		}
	}
	*g = Segment{At: at, marked: at, end: unknownEnd, busy: g.busy, started: time.Now(), startedAt: at, stop: g.stop}
	if s.list == nil {
		s.list = s.only[:0]
	}
	s.list = append(s.list[:0], g)
	s.shared, s.moved = false, false
}

// Restore makes it what a record says about an object of known size: front bytes from the
// start, and ranges ahead of them.
func (s *List) Restore(front, size int64, ahead []store.Range) {
	s.Reset(front)
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.list[0]
	for _, r := range ahead {
		if r.From <= last.At || r.From >= r.To || r.To > size {
			continue // not written by this program
		}
		last.end = r.From
		s.list = append(s.list, &Segment{from: r.From, At: r.To, end: r.To, marked: r.To})
		last = &Segment{from: r.To, At: r.To, marked: r.To, end: unknownEnd}
		s.list = append(s.list, last)
	}
	last.end = size
}

// SetSize sets the end of the object, unless it is unknown.
func (s *List) SetSize(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if size >= 0 {
		s.list[len(s.list)-1].end = size
	}
}

// Share lets other connections in.
func (s *List) Share() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = true
}

// Unshare keeps out connections that aren't in yet.
func (s *List) Unshare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = false
}

// Alone keeps other connections out. It fails if some are in, or have been: then there are
// bytes after a gap.
func (s *List) Alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sequential() {
		return false
	}
	s.shared = false
	return true
}

// sequential reports whether the present bytes are the start of the object, with at most
// one connection on it.
func (s *List) sequential() bool {
	busy := 0
	for i, g := range s.list {
		if g.busy {
			busy++
		}
		if i > 0 && g.At > g.from && s.list[i-1].left() > 0 {
			return false
		}
	}
	return busy <= 1
}

// Front is how many bytes are present from the start without a gap.
func (s *List) Front() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frontLocked()
}

func (s *List) frontLocked() int64 {
	for _, g := range s.list {
		if g.left() > 0 {
			return g.At
		}
	}
	return s.list[len(s.list)-1].end
}

// Have is how many bytes are present anywhere.
func (s *List) Have() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.list {
		n += g.At - g.from
	}
	return n
}

// Last is the end of the last present byte.
func (s *List) Last() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.list {
		if g.At > g.from {
			n = g.At
		}
	}
	return n
}

// Written notes that a segment's worker wrote n bytes, and returns how many it has written
// since the last checkpoint.
func (s *List) Written(g *Segment, n int) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.At += int64(n)
	s.moved = true
	return g.At - g.marked
}

// Limit is how many bytes a worker may still read into its segment, at most n.
func (s *List) Limit(g *Segment, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(min(int64(n), g.left()))
}

// Progress returns the position of a worker in its segment, and what is left.
func (s *List) Progress(g *Segment) (at, left int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.At, g.left()
}

// Release ends a worker's hold on a segment. Complete neighbors are merged.
func (s *List) Release(g *Segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rate, _ := g.rate(); rate > 0 {
		s.rate = rate
	}
	g.busy, g.stop = false, nil
	for i := len(s.list) - 1; i > 0; i-- {
		if a, b := s.list[i-1], s.list[i]; !a.busy && !b.busy && a.left() == 0 && b.left() == 0 {
			a.At, a.end = b.At, b.end
			s.list = slices.Delete(s.list, i, i+1)
		}
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Busy returns whether connections are at work, and if so, a channel that is closed when
// one ends.
func (s *List) Busy() (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.list, func(g *Segment) bool { return g.busy }) {
		return false, nil
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return true, s.changed
}

// Interrupt closes all connections and lets no other in.
func (s *List) Interrupt(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = false
	for _, g := range s.list {
		if g.busy {
			g.stop(cause)
		}
	}
}

// Record returns what is present, for a record: the bytes from the start, and the ranges
// ahead of them.
func (s *List) Record() (front int64, ahead []store.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	front, s.moved = s.frontLocked(), false
	for _, g := range s.list {
		g.marked = g.At
		if g.At <= front || g.At == g.from {
			continue
		}
		if n := len(ahead); n > 0 && ahead[n-1].To == g.from {
			ahead[n-1].To = g.At
		} else {
			ahead = append(ahead, store.Range{From: g.from, To: g.At})
		}
	}
	return front, ahead
}

// HasMoved reports whether the next record would differ from the last one.
func (s *List) HasMoved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.moved
}
