//go:build linux

package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Closed connections, for a second: the daemon has all files soon after. How much it asks meanwhile is for a quiet machine.
func TestADaemonLivesThroughTrouble(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	s, err := openStage(t.Context(), stageOptions{dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	l, err := s.openTroubles(t.Context(), 40)
	must(t, err)
	defer func() { must(t, l.close()) }() // while its context lives
	_, err = l.await(t.Context(), time.Now())
	must(t, err)
	round, err := l.live(t.Context(), "closed", 10, time.Second)
	must(t, err)
	if round.Requests == 0 || round.Left < 30 || round.Passes < 1 {
		t.Errorf("%+v, want some requests, and most of 40 files left at the end of the trouble", round)
	}
}

// A site falls ill after so many requests for files, whatever else is asked for, and is well again by itself.
func TestASickSiteCountsWhatItIsAskedMeanwhile(t *testing.T) {
	t.Parallel()
	well := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s := &sickSite{well: well}
	ask := func(path string) int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	const file, sums = "/files/demo/1.0/a.csv", "/files/demo/1.0/SHA256SUMS.txt"
	s.fallIll(troubleKinds["502"], 1, time.Hour)
	var got []int
	for _, path := range []string{sums, "/api/v1/projects", file, sums, file, sums} {
		got = append(got, ask(path))
	}
	want := []int{204, 204, 204, 204, 502, 502}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("answers %v, want %v", got, want)
		}
	}
	if n := s.count(); n != 2 {
		t.Errorf("%d requests were counted while it was ill, want 2", n)
	}
	s.fallIll(troubleKinds["502"], 0, 0)
	if code := ask(file); code != http.StatusNoContent {
		t.Errorf("after its illness it answers %d", code)
	}
}
