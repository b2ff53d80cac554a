package pace

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A host 90 ms away has 4,000 small files and, in one of two passes, a big one
// whose bytes are most of all bytes while it lasts. The small ones take hardly
// longer beside it.
func TestBudgetGrowsBesideABigFile(t *testing.T) {
	small := func(t *testing.T, beside bool) (took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			const latency, files = 90 * time.Millisecond, 4000
			b := NewBudget(64)
			var wg sync.WaitGroup
			if beside {
				must(t, b.Acquire(t.Context()))
				wg.Go(func() {
					for i := range 120 { // 240 MB: it gets faster, and ends while the limit grows
						time.Sleep(20 * time.Millisecond)
						b.Progress(min(i, 60) * 100_000 / 2)
					}
					b.Release(Good, 0)
				})
			}
			var left, opened atomic.Int64
			left.Store(files)
			start := time.Now()
			for range 64 {
				wg.Go(func() {
					for left.Add(-1) >= 0 && b.Acquire(t.Context()) == nil {
						if used, _, _ := b.Connections(); int64(used) > opened.Load() {
							opened.Store(int64(used))
							time.Sleep(2 * latency) // for TCP and TLS
							b.Replied(time.Now(), 3*latency, latency, 0, false)
						}
						time.Sleep(latency)
						b.Progress(6000)
						b.Release(Good, 0)
					}
				})
			}
			wg.Wait()
			took = time.Since(start)
		})
		return took
	}
	alone, beside := small(t, false), small(t, true)
	t.Logf("%v alone, %v beside a big file", alone, beside)
	if alone > 15*time.Second || beside.Seconds() > 1.3*alone.Seconds() {
		t.Errorf("small files took %v beside a big one and %v without it, want at most 1.3 times as long", beside, alone)
	}
}

// A file that a host stumbles over costs the others no connection.
func TestBudgetHoldsWhereOneAnswerInTwentyIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudgetAt(6)
		var n atomic.Int64
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				for i := n.Add(1); i < 2000; i = n.Add(1) {
					must(t, b.Acquire(t.Context()))
					time.Sleep(30 * time.Millisecond)
					if i%20 == 0 {
						b.Release(Sick, 0)
						continue
					}
					b.Progress(5000)
					b.Release(Good, 0)
				}
			})
		}
		wg.Wait()
		if _, limit, _ := b.Connections(); limit != 6 {
			t.Errorf("limit %d, want the 6 that bring all the others", limit)
		}
	})
}
