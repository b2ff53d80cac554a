package pace

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// serve runs workers that always want another file from a server, which sends
// rate(n) bytes a second to each of n connections.
func serve(t *testing.T, b *Budget, workers int, lasting time.Duration, rate func(n int) float64) {
	t.Helper()
	const step = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil && b.Acquire(ctx) == nil {
				for range 20 { // a file takes a second
					time.Sleep(step)
					used, _, _ := b.Connections()
					b.Progress(int(rate(used) * step.Seconds()))
				}
				b.Release(Good, 0)
			}
		})
	}
	wg.Wait()
}

// PhysioNet gives 40 KB/s to a connection: eight bring eight times as much.
func TestBudgetGrowsToItsCeilingWhileThatBringsMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(8)
		if _, limit, _ := b.Connections(); limit != 2 {
			t.Errorf("starts with %d connections, want 2", limit)
		}
		serve(t, b, 16, 30*time.Second, func(int) float64 { return 40_000 })
		if used, limit, _ := b.Connections(); limit != 8 || used != 0 {
			t.Errorf("limit %d with %d in use, want the ceiling of 8 and none", limit, used)
		}
	})
}

// A line that is full is not made faster by more connections.
func TestBudgetStaysLowWhereMoreBringNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(64)
		serve(t, b, 80, 5*time.Minute, func(n int) float64 { return 5e6 / float64(n) })
		if _, limit, _ := b.Connections(); limit > 8 {
			t.Errorf("limit %d after five minutes on a full line, want a few", limit)
		}
	})
}

// Six connections fill the line: about that many is what it settles at.
func TestBudgetSettlesWhereTheLineIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(32)
		serve(t, b, 40, 5*time.Minute, func(n int) float64 { return min(1e6, 6e6/float64(n)) })
		if _, limit, _ := b.Connections(); limit < 5 || limit > 12 {
			t.Errorf("limit %d, want about 6", limit)
		}
	})
}

// Each refusal takes one connection, down to those that the host stands; and
// they come back when it is well again.
func TestBudgetShrinksWhenTheHostIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudgetAt(8)
		for range 8 {
			must(t, b.Acquire(t.Context()))
		}
		for _, want := range []int{7, 6, 5} {
			b.Release(Busy, 0)
			if _, limit, _ := b.Connections(); limit != want {
				t.Errorf("limit %d after a refusal, want %d", limit, want)
			}
		}
		for range 5 {
			b.Release(Good, 0)
		}
		serve(t, b, 16, 5*time.Minute, func(int) float64 { return 40_000 })
		if _, limit, _ := b.Connections(); limit < 7 {
			t.Errorf("limit %d five minutes later, want it to have recovered", limit)
		}
	})
}

// crowded is workers with n requests for a server that refuses some.
func crowded(b *Budget, workers, n int, latency time.Duration, no Answer, admits func(now time.Time, open int) bool) (refused int, took time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	open, start := 0, time.Now()
	for range workers {
		wg.Go(func() {
			for {
				mu.Lock()
				if n == 0 {
					mu.Unlock()
					return
				}
				n--
				mu.Unlock()
				for {
					_ = b.Acquire(context.Background())
					mu.Lock()
					open++
					ok := admits(time.Now(), open)
					if !ok {
						refused++
						open--
					}
					mu.Unlock()
					time.Sleep(latency)
					if ok {
						mu.Lock()
						open--
						mu.Unlock()
					}
					if ok {
						b.Release(Good, 0)
						break
					}
					b.Release(no, time.Second)
					time.Sleep(time.Second + rand.N(time.Second/4))
				}
			}
		})
	}
	wg.Wait()
	return refused, time.Since(start)
}

// A server that refuses past 12 connections keeps 12 busy.
func TestBudgetOfAServerThatRefusesPastTwelve(t *testing.T) {
	for _, ceiling := range []int{16, 64} {
		synctest.Test(t, func(t *testing.T) {
			const n, latency = 5000, 10 * time.Millisecond
			refused, took := crowded(NewBudgetAt(ceiling), ceiling, n, latency, Busy, func(_ time.Time, open int) bool { return open <= 12 })
			best := n * latency / 12
			t.Logf("ceiling %d: %d of %d refused, %.0f%% of the permitted rate", ceiling, refused, n, 100*best.Seconds()/took.Seconds())
			if refused > n/20 || best.Seconds() < 0.85*took.Seconds() {
				t.Errorf("%d of %d refused in %v, want at most 5%% and at most %v / 0.85", refused, n, took, best)
			}
		})
	}
}

// A server that stands 400 requests a second, near and far.
func TestBudgetOfAServerThatCountsRequests(t *testing.T) {
	for _, latency := range []time.Duration{500 * time.Microsecond, 5 * time.Millisecond, 40 * time.Millisecond} {
		for _, ceiling := range []int{8, 16, 64} {
			t.Run(fmt.Sprint(latency, " ", ceiling), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const n, rate, burst = 8000, 400, 20
					tokens, last := float64(burst), time.Now()
					refused, took := crowded(NewBudgetAt(ceiling), ceiling, n, latency, TooFast, func(now time.Time, _ int) bool {
						tokens = min(tokens+rate*now.Sub(last).Seconds(), burst)
						last = now
						if tokens < 1 {
							return false
						}
						tokens--
						return true
					})
					best := max(n*time.Second/rate, n*latency/time.Duration(ceiling))
					t.Logf("latency %v, ceiling %d: %d of %d refused, %.0f%% of the permitted rate", latency, ceiling, refused, n, 100*best.Seconds()/took.Seconds())
					if refused > n/20 || best.Seconds() < 0.85*took.Seconds() {
						t.Errorf("%d of %d refused in %v, want at most 5%% and at most %v / 0.85", refused, n, took, best)
					}
				})
			})
		}
	}
}

// A host has once counted requests, and a single connection is left. Others do not wait for the end of the big file that has it:
// no request was held back since, so that the spacing is not what they wait for.
func TestBudgetGrowsBesideALongBodyAfterRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(8)
		for _, a := range []Answer{Busy, TooFast} {
			must(t, b.Acquire(t.Context()))
			b.Release(a, 0)
		}
		if _, limit, _ := b.Connections(); limit != 1 || !b.pace.on() {
			t.Fatalf("limit %d, spaced %t, want a single connection, spaced", limit, b.pace.on())
		}
		must(t, b.Acquire(t.Context()))
		begun := time.Now()
		other := make(chan time.Duration, 1)
		go func() {
			if b.Acquire(t.Context()) == nil {
				other <- time.Since(begun)
			}
		}()
		for range 10 * 60 { // ten minutes of one answer
			time.Sleep(time.Second)
			b.Progress(40_000)
		}
		b.Release(Good, 0)
		if waited := <-other; waited > time.Minute {
			t.Errorf("another request waited for %s, want less than a minute", waited)
		}
	})
}

func TestBudgetDoesNotGrowWhileNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(8)
		serve(t, b, 2, time.Minute, func(int) float64 { return 1e6 })
		if _, limit, _ := b.Connections(); limit != 2 {
			t.Errorf("limit %d, want 2: no third was ever wanted", limit)
		}
	})
}

func TestBudgetIsNeverExceeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(8)
		serve(t, b, 40, 20*time.Second, func(n int) float64 {
			if n > 8 {
				t.Errorf("%d connections at once, want at most 8", n)
			}
			return 40_000
		})
	})
}

// A waiter that gives up leaves no slot behind, whenever it does.
func TestBudgetForgetsAWaiterThatGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1)
		stop := errors.New("enough")
		for _, first := range []string{"it gives up", "its turn comes"} {
			must(t, b.Acquire(t.Context()))
			ctx, cancel := context.WithCancelCause(t.Context())
			result := make(chan error, 1)
			go func() { result <- b.Acquire(ctx) }()
			synctest.Wait()
			if first == "it gives up" {
				cancel(stop)
				if err := <-result; !errors.Is(err, stop) {
					t.Errorf("Acquire = %v, want the cause %v", err, stop)
				}
				b.Release(Good, 0)
			} else {
				b.Release(Good, 0)
				cancel(stop) // either way is right; a leak is not
				if <-result == nil {
					b.Release(Good, 0)
				}
			}
			if used, _, _ := b.Connections(); used != 0 {
				t.Errorf("%s first: %d connections in use, want 0", first, used)
			}
		}
		must(t, b.Acquire(t.Context()))
		b.Release(Good, 0)
	})
}

// Several refusals in a row with a Retry-After are meant for all of us.
func TestBudgetPausesAHostThatAsksForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(4)
		for range RepeatedBusy {
			must(t, b.Acquire(t.Context()))
			b.Release(Busy, 30*time.Second)
		}
		start := time.Now()
		must(t, b.Acquire(t.Context()))
		if waited := time.Since(start); waited < 30*time.Second || waited > 31*time.Second {
			t.Errorf("waited %v, want the 30 s that the host asked for", waited)
		}
		b.Release(Good, 0)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range RepeatedBusy {
			must(t, b.Acquire(t.Context()))
			b.Release(Busy, 30*time.Second)
		}
		if err := b.Acquire(ctx); err == nil {
			t.Error("Acquire = nil within the pause, want the end of the context")
		}
	})
}

// The pause holds also for those who were in the queue when it began.
func TestBudgetPausesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1)
		b.refusals.inRow = RepeatedBusy - 1
		must(t, b.Acquire(t.Context()))
		start := time.Now()
		admitted := make(chan time.Duration, 1)
		go func() {
			if b.Acquire(t.Context()) == nil {
				admitted <- time.Since(start)
			}
		}()
		synctest.Wait()
		b.Release(Busy, 30*time.Second)
		if after := <-admitted; after < 30*time.Second {
			t.Errorf("a waiter was let in after %v, want 30 s", after)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
