package main

import (
	"testing"
	"time"

	"mimicsync/daemon"
)

func TestTheStatusLineSaysWhatMatters(t *testing.T) {
	at := time.Date(2026, 11, 26, 3, 30, 0, 0, time.Local)
	idle := daemon.DatasetStatus{Dataset: "mimic-iv-demo", Condition: daemon.Idle, Next: at.Add(time.Hour)}
	next := daemon.DatasetStatus{Dataset: "mimiciv", Condition: daemon.Idle, Next: at}
	parked := daemon.DatasetStatus{Dataset: "mimic-cxr-jpg", Condition: daemon.Parked}
	running := daemon.DatasetStatus{
		Dataset: "mimic-cxr", Condition: daemon.Running, Bytes: 61, Published: 100, Pass: &daemon.PassStatus{Kind: daemon.RefreshPass, Rate: 41_000_000},
	}
	unknown := daemon.DatasetStatus{Dataset: "mimic-iv-ecg", Condition: daemon.Running, Pass: &daemon.PassStatus{Kind: daemon.ScrubPass}}
	for _, test := range []struct {
		datasets []daemon.DatasetStatus
		closed   bool
		want     string
	}{
		{nil, false, "0 datasets"},
		{[]daemon.DatasetStatus{idle, next}, false, "2 datasets; next mimiciv on Thu 03:30"},
		{[]daemon.DatasetStatus{running, parked, idle}, false, "3 datasets; mimic-cxr 61% at 41 MB/s; mimic-cxr-jpg parked"},
		{[]daemon.DatasetStatus{unknown}, false, "1 dataset; mimic-iv-ecg scrub"},
		{[]daemon.DatasetStatus{idle}, true, "1 dataset; outside the run window"},
	} {
		s := daemon.Status{Datasets: test.datasets, Window: daemon.Window{Open: !test.closed}}
		if got := statusLine(s); got != test.want {
			t.Errorf("statusLine = %q, want %q", got, test.want)
		}
	}
}
