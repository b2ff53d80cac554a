package pace

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// asking is workers that want one answer after the other for a while: each begins
// after what first returns and takes body more. It returns how many came, and the
// mean of how many were waited for at once.
func asking(t *testing.T, b *Budget, workers int, lasting, body time.Duration, first func(others int) time.Duration) (answers int64, waited float64) {
	t.Helper()
	var n, asked, sum atomic.Int64
	var wg sync.WaitGroup
	for end := time.Now().Add(lasting); workers > 0; workers-- {
		wg.Go(func() {
			for time.Now().Before(end) {
				must(t, b.Acquire(t.Context()))
				beside, _ := b.Asks(nil, 0)
				others := asked.Add(1) - 1
				sum.Add(others + 1)
				took := first(int(others))
				time.Sleep(took)
				asked.Add(-1)
				b.Replied(time.Now(), took, took, beside, true)
				b.Bodies(1)
				for range 10 {
					time.Sleep(body / 10)
					b.Progress(4000)
				}
				b.Bodies(-1)
				b.Release(Good, 0)
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load(), float64(sum.Load()) / float64(n.Load())
}

// Answers of a store take 15 ms, or 150, as it comes, however many are asked for:
// nobody waits for that. Nor where each body takes half a minute on purpose.
func TestMannersLetAHostWorkThatHasNoQueue(t *testing.T) {
	jitter := func(int) time.Duration { return time.Duration(15+rand.ExpFloat64()*30) * time.Millisecond }
	for _, tt := range []struct {
		name    string
		workers int
		lasting time.Duration
		body    time.Duration
		first   func(int) time.Duration
	}{
		{"jitter", 48, 20 * time.Second, time.Millisecond, jitter},
		{"jitter of a near host", 24, 5 * time.Second, time.Millisecond, func(int) time.Duration { return time.Duration(rand.ExpFloat64() * float64(4*time.Millisecond)) }},
		{"slow bodies", 8, 10 * time.Minute, 30 * time.Second, jitter},
		{"a far host", 32, time.Minute, time.Millisecond, func(int) time.Duration { return time.Duration(220+10*rand.ExpFloat64()) * time.Millisecond }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mannered, waited := asking(t, NewBudgetAt(tt.workers), tt.workers, tt.lasting, tt.body, tt.first)
				b := NewBudgetAt(tt.workers)
				b.manners.floor, b.manners.floorAt = time.Hour, time.Now().Add(time.Hour)
				rude, _ := asking(t, b, tt.workers, tt.lasting, tt.body, tt.first)
				t.Logf("%d answers with manners and %d without, %.1f waited for", mannered, rude, waited)
				if float64(mannered) < 0.93*float64(rude) {
					t.Errorf("%d answers, and %d without manners, want as many", mannered, rude)
				}
			})
		})
	}
}

// A host works on six requests at once, for 80 ms each, and lets the others wait.
func TestMannersKeepAQueueShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, work = 6, 80 * time.Millisecond
		queue := func(others int) time.Duration { return max(work, work*time.Duration(others+1)/workers) }
		b := NewBudgetAt(50)
		asking(t, b, 50, 10*time.Second, time.Millisecond, queue) // the start is over
		n, waited := asking(t, b, 50, 2*time.Minute, time.Millisecond, queue)
		best := int64(2 * time.Minute / work * workers)
		t.Logf("%d answers of %d that the workers could give, %.1f waited for", n, best, waited)
		if waited > 1.7*workers || n < best*9/10 {
			t.Errorf("%.1f answers are waited for at a time and %d came, want about %.1f at most, and %d", waited, n, 1.6*workers, best)
		}
	})
}

// The route becomes another one, and answers take six times as long from then on.
// After some seconds, that is what they take, and no reason to hold back.
func TestMannersLearnANewRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudgetAt(24)
		takes := func(d time.Duration) func(int) time.Duration {
			return func(int) time.Duration { return d + time.Duration(rand.ExpFloat64()*float64(d/10)) }
		}
		asking(t, b, 24, time.Minute, time.Millisecond, takes(30*time.Millisecond))
		asking(t, b, 24, 30*time.Second, time.Millisecond, takes(180*time.Millisecond))
		n, _ := asking(t, b, 24, time.Minute, time.Millisecond, takes(180*time.Millisecond))
		if want := int64(24 * time.Minute / (200 * time.Millisecond)); n < want*9/10 {
			t.Errorf("%d answers in a minute, want some %d", n, want)
		}
	})
}
