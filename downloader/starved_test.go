package downloader_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source/physionet"
	"mimicsync/store"
)

// named is the site with a number of connections that a person has named.
func (s *site) named(t testing.TB, connections int) []host.Source {
	b := s.source(t, physionet.Credentials{}, connections)
	b.Budget = pace.NewBudgetAt(connections)
	return []host.Source{b}
}

// Three mirrors at once want 9 connections each, from a server that accepts all
// and serves 5, and counts what was closed for a while.
func TestPullsOfAServerThatLeavesConnectionsHanging(t *testing.T) {
	slow(t)
	s := newSite(t, func(l *lookalike.Server) {
		l.ServedConns, l.ConnLinger = 5, 700*time.Millisecond
		l.Workers, l.WorkTime = 50, 40*time.Millisecond
	}, project(manyFiles(120, 3000)...))
	var wg sync.WaitGroup
	start := time.Now()
	for range 3 {
		r := newRig(t, rigOptions{sources: s.named(t, 9), log: io.Discard})
		wg.Go(func() {
			wantFiles(t, r.pull(), store.Complete, store.Files{Total: 120, Fetched: 120})
			if _, limit, _ := r.budget.Connections(); limit > 7 { // two are served at the most, and more may be tried again
				t.Errorf("limit %d after all, want few", limit)
			}
		})
	}
	wg.Wait()
	t.Logf("took %v, with %d connections", time.Since(start), s.Counters().Conns)
}

// A site has ten workers, each busy for 50 ms with an answer. Who pulls with as
// many connections as he likes leaves it to its readers.
func TestAPullLeavesABusySiteToItsReaders(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	} // and not in parallel: time is measured
	const workers, work = 10, 50 * time.Millisecond
	for _, connections := range []int{8, 40} {
		t.Run(fmt.Sprint(connections, " connections"), func(t *testing.T) {
			const files = 600
			s := newSite(t, func(l *lookalike.Server) { l.Workers, l.WorkTime = workers, work }, project(manyFiles(files, 3000)...))
			alone := s.read(t, 10, nil)
			done := make(chan struct{})
			r := newRig(t, rigOptions{sources: s.named(t, connections), log: io.Discard})
			begun := time.Now()
			go func() {
				defer close(done)
				wantFiles(t, r.pull(), store.Complete, store.Files{Total: files, Fetched: files})
			}()
			time.Sleep(time.Second) // the start is over
			beside := s.read(t, 1000, done)
			<-done
			took := time.Since(begun)
			t.Logf("a page takes %v alone and %v beside the pull, which takes %v; %v by all workers", alone, beside, took, files*work/workers)
			if beside > 2*alone+10*time.Millisecond {
				t.Errorf("a page takes %v beside a pull, and %v alone, want at most twice as long", beside, alone)
			}
			if took > 2*files*work/workers {
				t.Errorf("the pull took %v, want the workers busy: %v", took, files*work/workers)
			}
		})
	}
}

// read opens pages one after the other until done, n at most, and returns the
// median of what they took.
func (s *site) read(t *testing.T, n int, done <-chan struct{}) time.Duration {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	var all []time.Duration
	for range n {
		select {
		case <-done:
			n = 0
		default:
		}
		if n == 0 {
			break
		}
		start := time.Now()
		request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, s.url+"/robots.txt", nil)
		must(t, err)
		response, err := client.Do(request)
		must(t, err)
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		all = append(all, time.Since(start))
		time.Sleep(20 * time.Millisecond)
	}
	slices.Sort(all)
	return all[len(all)/2]
}
