package lookalike_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
)

func TestRateIsPerConnection(t *testing.T) {
	t.Parallel()
	s := lookalike.New(demo())
	s.BytesPerSecondPerConn = 1_000_000
	w := serve(t, s)
	start := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { w.get(bigFile) })
	}
	wg.Wait()
	// Eight connections side by side take as long as one.
	if got := time.Since(start); got < 90*time.Millisecond || got > 600*time.Millisecond {
		t.Errorf("eight transfers of 100 kB took %v, want about 100ms", got)
	}
	start = time.Now()
	w.get(bigFile)
	w.get(bigFile)
	if got := time.Since(start); got < 180*time.Millisecond {
		t.Errorf("two transfers in a row took %v, want 200ms at least", got)
	}
}

// occupy holds n requests open until the test ends.
func occupy(t *testing.T, w *site, n int) {
	t.Helper()
	w.Inject(lookalike.Fault{Kind: lookalike.Stall, Times: n})
	for range n {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+bigFile, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
	}
}

func TestMaxConcurrent(t *testing.T) {
	s := lookalike.New(demo())
	s.MaxConcurrent = 2
	w := serve(t, s)
	occupy(t, w, 2)
	w.get(bigFile).want(t, 503)
	if c := s.Counters(); c.MaxConcurrent != 3 || c.MaxConns != 3 {
		t.Errorf("MaxConcurrent %d, MaxConns %d, want 3 and 3", c.MaxConcurrent, c.MaxConns)
	}
}

func TestHangOverMaxConcurrent(t *testing.T) {
	s := lookalike.New(demo())
	s.MaxConcurrent = 1
	s.HangOver = 50 * time.Millisecond
	w := serve(t, s)
	occupy(t, w, 1)
	start := time.Now()
	if _, err := w.try(http.MethodGet, bigFile); err == nil || time.Since(start) < s.HangOver {
		t.Errorf("got %v after %v, want silence for %v and an end", err, time.Since(start), s.HangOver)
	}
}

func TestRequestsPerSecond(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	s := lookalike.New(demo())
	s.RequestsPerSecond = 2
	s.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	w := serve(t, s)
	w.get("/ping/").want(t, 200)
	w.get("/ping/").want(t, 200)
	w.get("/ping/").want(t, 429, "Retry-After", "1")
	mu.Lock()
	now = now.Add(500 * time.Millisecond)
	mu.Unlock()
	w.get("/ping/").want(t, 200)
	w.get("/ping/").want(t, 429)
}

// A third connection is taken and not served, also when one of the others has gone: the client has to open another one, and that
// is not served either until the closed one no longer counts.
func TestServedConns(t *testing.T) {
	t.Parallel()
	s := lookalike.New(demo())
	s.ServedConns, s.ConnLinger = 2, 300*time.Millisecond
	w := serve(t, s)
	ask := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+bigFile, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.client.Do(r)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		return err
	}
	occupy(t, w, 1)
	if err := ask(10 * time.Second); err != nil {
		t.Fatalf("the second connection: %v", err)
	}
	occupied := make(chan error, 1)
	stalled := w.Inject(lookalike.Fault{Kind: lookalike.Stall, Times: 1, Duration: time.Second})
	go func() { occupied <- ask(10 * time.Second) }()
	for stalled.Struck() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := ask(100 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the third connection: %v, want no answer", err)
	}
	if err := <-occupied; err != nil {
		t.Errorf("the second connection: %v", err)
	}
	w.client.CloseIdleConnections()
	if err := ask(100 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("another one while the closed ones count: %v, want no answer", err)
	}
	time.Sleep(time.Second)
	if err := ask(10 * time.Second); err != nil {
		t.Errorf("another one when they do not: %v", err)
	}
}

// Three requests and two workers: one waits for its turn.
func TestWorkers(t *testing.T) {
	t.Parallel()
	s := lookalike.New(demo())
	s.Workers, s.WorkTime = 2, 200*time.Millisecond
	w := serve(t, s)
	start := time.Now()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { w.get(bigFile) })
	}
	wg.Wait()
	if got := time.Since(start); got < 400*time.Millisecond {
		t.Errorf("three requests took %v, want two times 200ms at least", got)
	}
}
