package downloader

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/downloader/source"
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
							b.replied(time.Now(), 3*latency, latency, 0, false)
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

// waitingFor is how many wait for a connection.
func waitingFor(b *Budget) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}

// What a host says is no reason for more connections unless it brought bytes.
func TestBudgetGrowsOnBytesAlone(t *testing.T) {
	errorOf := func(code int) error { return &source.StatusError{Code: code} }
	for _, tt := range []struct {
		name string
		err  error
		most int // the limit after such answers alone, while others wait
	}{
		{"bytes", nil, 8},
		{"304", source.ErrNotModified, 2},
		{"404", source.ErrNotExist, 2},
		{"403", &source.AccessError{Denial: source.Forbidden}, 2},
		{"416", source.ErrRange, 2},
		{"418", errorOf(418), 2},
		{"500", errorOf(500), 1},
		{"502", errorOf(502), 1},
		{"504", errorOf(504), 1},
		{"520", errorOf(520), 1},
		{"503", errorOf(503), 1},
		{"web page", source.ErrWebPage, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := Budgeted{Budget: NewBudget(8)}
				var wg sync.WaitGroup
				for end := time.Now().Add(5 * time.Second); waitingFor(b.Budget) < 12; {
					wg.Go(func() {
						for time.Now().Before(end) {
							must(t, b.Budget.Acquire(t.Context()))
							time.Sleep(50 * time.Millisecond)
							if tt.err == nil {
								b.Budget.Progress(9000)
							}
							b.release(tt.err)
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				if _, limit, _ := b.Budget.Connections(); limit > tt.most || tt.err == nil && limit < 8 {
					t.Errorf("the limit is %d, want %d at most", limit, tt.most)
				}
			})
		})
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
