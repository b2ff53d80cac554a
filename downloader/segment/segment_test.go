package segment

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/store"
)

// whole checks that the segments lie in order, without gaps, from 0 to the end.
func (s *List) whole(t *testing.T, size int64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := int64(0)
	for _, g := range s.list {
		if g.from != at || g.At < g.from || g.At > g.end {
			t.Fatalf("segment {%d %d %d} where one from %d belongs", g.from, g.At, g.end, at)
		}
		at = g.end
	}
	if at != size {
		t.Fatalf("the segments end at %d, want %d", at, size)
	}
}

func noStop(error) {}

// Workers come, write what they have read, lose their lines and go, in any
// order: each byte is written once, and a record in between can be taken up.
func TestSegmentsCoverAnObjectOnce(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { cover(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func cover(t *testing.T, random *rand.Rand) {
	size := 1 + random.Int64N(400<<20)
	var s List
	s.Reset(0)
	s.SetSize(size)
	s.Share()
	written := int64(0)
	working := map[*Segment]bool{}
	for s.Front() < size {
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		if g := s.Take(true, noStop); g != nil {
			if working[g] {
				t.Fatal("two workers have one segment")
			}
			working[g] = true
		}
		for g := range working {
			switch n := s.Limit(g, BufferSize); {
			case n == 0 && s.Extend(g, size):
			case n == 0 || random.IntN(50) == 0:
				delete(working, g)
				s.Release(g)
			default:
				n = 1 + random.IntN(n)
				s.Written(g, n)
				written += int64(n)
			}
		}
		s.whole(t, size)
		if random.IntN(500) == 0 { // another process goes on
			front, ahead := s.Record()
			have := s.Have()
			s = List{}
			clear(working)
			s.Restore(front, size, ahead)
			s.Share()
			if s.Have() != have || s.Front() != front {
				t.Fatalf("restored %d bytes, %d of them in front; want %d and %d", s.Have(), s.Front(), have, front)
			}
		}
	}
	if written != size {
		t.Errorf("%d bytes written for an object of %d", written, size)
	}
	if busy, _ := s.Busy(); !busy && s.Wants(true) {
		t.Error("a complete object wants help")
	}
}

// The range that is cut in two is the largest, and only when it takes long yet.
func TestASlowSegmentIsCutInTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 32 << 20
		var s List
		s.Reset(0)
		s.SetSize(size)
		s.Share()
		a := s.Take(false, noStop)
		s.Trim(a, FirstPiece)
		for s.Limit(a, 1) > 0 || s.Extend(a, size) {
			s.Written(a, s.Limit(a, 1<<20))
			if a.At == 16<<20 {
				break
			}
		}
		b := s.Take(true, noStop)
		if b == nil || b.from != a.end {
			t.Fatalf("the second worker has %+v, want what follows the first's %+v", b, a)
		}
		s.Extend(b, size)
		for s.Wants(true) {
			if g := s.Take(true, noStop); g == b || g == a {
				t.Fatal("a segment went out twice")
			}
		}
		if s.Take(true, noStop) != nil {
			t.Error("a segment that just began was cut")
		}
		time.Sleep(time.Hour)
		c := s.Take(true, noStop)
		if c == nil || c.left() < LeastPiece {
			t.Errorf("a slow segment gave %+v to the third worker, want half of it", c)
		}
		s.whole(t, size)
	})
}

// Records come from a disk: nonsense in one must not make segments overlap.
func TestNonsenseInARecordIsLeftOut(t *testing.T) {
	for _, ahead := range [][]store.Range{
		{{From: 5, To: 3}}, {{From: 0, To: 50}}, {{From: 40, To: 60}, {From: 50, To: 70}}, {{From: 90, To: 200}}, {{From: 20, To: 20}}, {{From: -5, To: 60}},
	} {
		var s List
		s.Restore(10, 100, ahead)
		s.whole(t, 100)
	}
}

// Helpers stay out until the object is known to stay the same, and when it is
// found not to be, all are stopped.
func TestSegmentsAreSharedOnlyOnRequest(t *testing.T) {
	var s List
	s.Reset(0)
	s.SetSize(100 << 20)
	if s.Wants(true) || s.Take(true, noStop) != nil {
		t.Error("a helper got in before the transfer was shared")
	}
	s.Share()
	stopped := 0
	for range 3 {
		if s.Take(true, func(error) { stopped++ }) == nil {
			t.Fatal("no segment for a helper")
		}
	}
	s.Interrupt(context.Canceled)
	if stopped != 3 || s.Wants(true) {
		t.Errorf("%d of 3 workers were stopped, and more are wanted: %t", stopped, s.Wants(true))
	}
}
