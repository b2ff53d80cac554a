package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/manifest"
	"mimicsync/store"
)

func TestAgendasAreWhatWasPut(t *testing.T) {
	s := newMirror(t)
	day := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	demo := store.Agenda{
		Ref: manifest.Ref{Dataset: "demo"}, Refreshed: day, Refreshing: true, Scrubbed: day,
		Trouble: &store.Trouble{Condition: "parked", Why: "w", Cure: "c", Since: day, Told: []string{"w"}},
	}
	must(t, s.PutAgendas(map[string]store.Agenda{"demo": demo, store.AllDatasets: {Paused: true}}))
	demo.Refreshing = false
	must(t, s.PutAgendas(map[string]store.Agenda{"demo": demo}))
	got, err := s.Agendas()
	must(t, err)
	if diff := cmp.Diff(map[string]store.Agenda{"demo": demo, store.AllDatasets: {Paused: true}}, got); diff != "" {
		t.Errorf("Agendas() (-want +got):\n%s", diff)
	}
}

func TestTheLastThirtyDaysAreKept(t *testing.T) {
	s := newMirror(t)
	want := map[string]int64{}
	for i := range 31 {
		name := fmt.Sprintf("2026-10-%02d", i+1)
		must(t, s.PutReceived(map[string]int64{name: int64(i)}))
		want[name] = int64(i)
	}
	delete(want, "2026-10-01")
	got, err := s.Received()
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Received() (-want +got):\n%s", diff)
	}
}

func TestHistoryMergesVersions(t *testing.T) {
	s := newMirror(t)
	day := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	for i, name := range []string{"demo@1.0", "demo@2.0", "notes@1.0", "demo", "demo@1.0"} {
		ref, err := manifest.ParseRef(name)
		must(t, err)
		must(t, s.AddPass(ref, store.Pass{Start: day.Add(time.Duration(i) * time.Hour), Kind: "refresh"}))
	}
	for dataset, want := range map[string]string{"": "demo@1.0 demo notes@1.0 ", "demo": "demo@1.0 demo demo@2.0 ", "none": ""} {
		past, err := s.History(dataset, 3)
		must(t, err)
		got := ""
		for _, p := range past {
			got += p.Ref.String() + " "
		}
		if got != want {
			t.Errorf("History(%q, 3) = %q, want %q", dataset, got, want)
		}
	}
}
