package segment

import (
	"context"
	"slices"
	"time"
)

const (
	// BufferSize is what a worker collects before it writes: TLS delivers at most 16 KiB
	// per read, and writing those one by one costs a quarter of the speed.
	BufferSize = 512 << 10
	// SplitFrom is the size from which an object is fetched over several connections: below
	// it, setting them up costs more than they bring.
	SplitFrom = 16 << 20
	// FirstPiece is the least that a connection takes on at a time. Pieces go out in order,
	// so that what is written ahead of the running digest is still in the page cache when
	// the digest gets there.
	FirstPiece = 8 << 20
	// LargestPiece is the most that a connection takes on at a time.
	LargestPiece = 64 << 20
	// pieceTime is how long a piece should take: long compared with the round trip of its
	// request.
	pieceTime = 2 * time.Second
	// LeastPiece is the least size of both halves of a split segment. It exceeds a worker's
	// buffer, so a worker has never read beyond an end that moved toward it.
	LeastPiece = 2 * BufferSize
	// LeastTime is how long a segment must still take to be worth another connection.
	LeastTime = 500 * time.Millisecond
)

// Take gives a worker a segment: the first without a worker, or else the second half of the
// one with the most left. It returns nil if there is none; a helper gets none while the
// transfer is not shared.
func (s *List) Take(helper bool, stop context.CancelCauseFunc) *Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if helper && !s.shared {
		return nil
	}
	g := s.free()
	if g == nil {
		g = s.half()
	}
	if g == nil {
		return nil
	}
	g.busy, g.stop, g.started, g.startedAt = true, stop, time.Now(), g.At
	return g
}

// free returns the first segment without a worker, cut to the size of a piece.
func (s *List) free() *Segment {
	for i, g := range s.list {
		if g.busy || g.left() == 0 {
			continue
		}
		if piece := s.piece(g); s.shared && g.left() >= piece+LeastPiece {
			s.cut(i, g.At+piece)
		}
		return g
	}
	return nil
}

// piece is how much of a segment without a worker goes out at a time: less toward the end,
// so that all connections end at about the same time.
func (s *List) piece(g *Segment) int64 {
	busy := int64(1)
	for _, other := range s.list {
		if other.busy {
			busy++
		}
	}
	n := min(int64(s.rate*pieceTime.Seconds()), LargestPiece, g.left()/(2*busy))
	return max(n, FirstPiece) &^ (1<<20 - 1)
}

// half cuts the segment with the most left in two.
func (s *List) half() *Segment {
	i := s.largest()
	if i < 0 {
		return nil
	}
	g := s.list[i]
	s.cut(i, g.end-g.left()/2)
	return s.list[i+1]
}

// largest is the index of the segment with the most left that is worth another connection,
// -1 if there is none.
func (s *List) largest() int {
	best := -1
	for i, g := range s.list {
		if !s.shared || g.end == unknownEnd || g.left() < 2*LeastPiece {
			continue
		}
		if rate, known := g.rate(); !known || float64(g.left()) < rate*LeastTime.Seconds() {
			continue
		}
		if best < 0 || g.left() > s.list[best].left() {
			best = i
		}
	}
	return best
}

// cut ends segment i at a position after the present bytes, and makes another segment of
// the rest.
func (s *List) cut(i int, at int64) {
	g := s.list[i]
	s.list = slices.Insert(s.list, i+1, &Segment{from: at, At: at, marked: at, end: g.end})
	g.end = at
}

// Extend lets a worker at its segment's end continue, if what follows has no worker and its
// answer delivers it: up to the byte reach.
func (s *List) Extend(g *Segment, reach int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.list, g) + 1
	if i == len(s.list) || s.list[i].busy || s.list[i].At > s.list[i].from || s.list[i].left() == 0 || reach <= g.end {
		return false
	}
	next := s.list[i]
	if end := g.end + s.piece(next); end+LeastPiece <= next.end {
		s.cut(i, end)
	}
	if next.end > reach {
		s.cut(i, reach)
	}
	g.end = next.end
	s.list = slices.Delete(s.list, i, i+1)
	return true
}

// Trim leaves a worker a piece of what it has, if there is much more.
func (s *List) Trim(g *Segment, piece int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.left() >= piece+LeastPiece {
		s.cut(slices.Index(s.list, g), g.At+piece)
	}
}

// Wants reports whether Take would find a segment.
func (s *List) Wants(helper bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if helper && !s.shared {
		return false
	}
	for _, g := range s.list {
		if !g.busy && g.left() > 0 {
			return true
		}
	}
	return s.largest() >= 0
}
