//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"mimicsync/daemon/api"
	"mimicsync/store"
)

// soakSample is a daemon at one moment.
type soakSample struct {
	At         float64 `json:"at_s"` // since the daemon was started
	Memory     int64   `json:"anonymous_bytes"`
	Goroutines int64   `json:"goroutines"`
	Files      int64   `json:"open_files"`
	State      int64   `json:"state_bytes"` // of state.db
	Status     float64 `json:"status_s"`    // what an answer to GET status took
}

// soakWatch reads what a daemon shows, as people's browsers and a Prometheus do, and takes samples.
type soakWatch struct {
	url    string // of the page
	pid    int
	mirror string
	client *api.Client
	ledger *soakLedger
	start  time.Time
}

// readers look on until ctx ends: some steadily, some that come and go, and one that falls asleep.
func (w *soakWatch) readers(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, path := range []string{api.Prefix + "/events", api.Prefix + "/events", "/live"} {
		all.Go(func() { w.steadily(ctx, func() error { return w.stream(ctx, path, 0, false) }) })
	}
	all.Go(func() {
		w.steadily(ctx, func() error { return w.stream(ctx, api.Prefix+"/events", 2*time.Second, false) })
	})
	all.Go(func() { w.steadily(ctx, func() error { return w.stream(ctx, "/live", time.Second, false) }) })
	all.Go(func() {
		w.steadily(ctx, func() error { return w.stream(ctx, api.Prefix+"/events", time.Minute, true) })
	})
	all.Go(func() {
		paths := []string{"/", "/healthz", "/readyz", "/metrics", api.Prefix + "/history?limit=50", api.Prefix + "/throughput"}
		for i := 0; ctx.Err() == nil; i++ {
			w.steadily(ctx, func() error {
				_, err := w.get(ctx, paths[i%len(paths)])
				i++
				return err
			})
		}
	})
}

// steadily reads again and again, a few times a second at most.
func (w *soakWatch) steadily(ctx context.Context, read func() error) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := read(); err != nil && ctx.Err() == nil {
			w.ledger.surprise("a reader: %v", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stream reads a stream of events for a while, or until ctx ends if that is 0; asleep, it takes nothing off the line.
func (w *soakWatch) stream(ctx context.Context, path string, while time.Duration, asleep bool) error {
	if while > 0 {
		bounded, cancel := context.WithTimeout(ctx, while)
		defer cancel()
		ctx = bounded
	}
	response, err := w.open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was read
	if asleep {
		<-ctx.Done()
		return nil
	}
	n, err := io.Copy(io.Discard, response.Body)
	if ctx.Err() == nil {
		return fmt.Errorf("%s ended after %d bytes: %w", path, n, err)
	}
	return nil
}

func (w *soakWatch) get(ctx context.Context, path string) ([]byte, error) {
	const patience = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	response, err := w.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it was read
	return io.ReadAll(response.Body)
}

// open asks over a connection of its own.
func (w *soakWatch) open(ctx context.Context, path string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		return nil, err
	}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return response, nil
}

// samples takes one at each tick until ctx ends.
func (w *soakWatch) samples(ctx context.Context, every time.Duration) (all []soakSample) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return all
		case <-tick.C:
		}
		s, err := w.sample(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			w.ledger.surprise("a sample: %v", err)
		default:
			all = append(all, s)
		}
	}
}

// rest waits until the daemon has no more goroutines than it should have when nobody wants anything of it. It returns what there
// is in any case, for others to judge: connections may stay for a while.
func (w *soakWatch) rest(ctx context.Context, goroutines int64) (s soakSample, err error) {
	const patience = 20 * time.Second
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if s, err = w.sample(ctx); err != nil || s.Goroutines <= goroutines {
			break
		}
	}
	return s, err
}

func (w *soakWatch) sample(ctx context.Context) (s soakSample, err error) {
	asked := time.Now()
	if _, err = w.client.Status(ctx); err != nil {
		return s, err
	}
	s.Status, s.At = time.Since(asked).Seconds(), asked.Sub(w.start).Seconds()
	page, err := w.get(ctx, "/metrics")
	if err != nil {
		return s, err
	}
	if s.Goroutines, err = gauge(page, "go_goroutines"); err != nil {
		return s, err
	}
	open, err := os.ReadDir("/proc/" + strconv.Itoa(w.pid) + "/fd")
	if err != nil {
		return s, err
	}
	state, err := os.Stat(filepath.Join(w.mirror, store.Dir, "state.db"))
	if err != nil {
		return s, err
	}
	s.Memory, s.Files, s.State = memoryOf(w.pid, "RssAnon"), int64(len(open)), state.Size()
	return s, nil
}

// gauge finds a number without labels in a page of metrics.
func gauge(page []byte, name string) (int64, error) {
	for line := range bytes.Lines(page) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			return strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
		}
	}
	return 0, fmt.Errorf("the metrics have no %s", name)
}
