package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/manifest"
	"mimicsync/store"
)

func TestHistoryKeeps400Passes(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 405 transactions")
	}
	m := newMirror(t)
	start := func(i int) time.Time { return noon.AddDate(0, 0, i) }
	for i := range 405 {
		must(t, m.AddPass(demo, store.Pass{Start: start(i), State: store.Running}))
	}
	last := store.Pass{
		Start: start(404), Elapsed: time.Minute, State: store.Incomplete, Files: store.Files{Total: 3, Failed: 1}, Bytes: store.Bytes{Fetched: 5},
		Error: "1 of 3 failed", Failures: []store.Failure{{Path: "x", Reason: "checksum", Source: "physionet", Detail: "d"}},
	}
	must(t, m.AddPass(demo, last)) // it ended
	must(t, m.AddPass(demo2, store.Pass{Start: noon}))

	all, err := m.Passes(demo, 1000)
	must(t, err)
	if len(all) != 400 {
		t.Fatalf("%d passes, want 400", len(all))
	}
	if diff := cmp.Diff(last, all[0]); diff != "" {
		t.Errorf("the newest pass (-want +got):\n%s", diff)
	}
	for i, p := range all {
		if want := start(404 - i); !p.Start.Equal(want) {
			t.Errorf("pass %d started %v, want %v", i, p.Start, want)
		}
	}
	if some, err := m.Passes(demo, 3); err != nil || len(some) != 3 {
		t.Errorf("Passes(3) = %d, %v, want 3", len(some), err)
	}
	if none, err := m.Passes(manifest.Ref{Dataset: "none", Version: "1.0"}, 3); err != nil || len(none) != 0 {
		t.Errorf("Passes of an unknown version = %v, %v, want none", none, err)
	}
}

func TestStateText(t *testing.T) {
	for s := store.Running; s <= store.Failed; s++ {
		text, err := s.MarshalText()
		var back store.State
		if err != nil || back.UnmarshalText(text) != nil || back != s {
			t.Errorf("UnmarshalText(%q) = %v, want %v", text, back, s)
		}
	}
	var s store.State
	if err := s.UnmarshalText([]byte("done")); err == nil {
		t.Errorf("UnmarshalText(done) = %v, want an error", s)
	}
	if got := store.State(9).String(); got != "State(9)" {
		t.Errorf("State(9) = %q, want State(9)", got)
	}
}
