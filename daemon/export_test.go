package daemon

import (
	"time"

	"mimicsync/daemon/notify"
	"mimicsync/downloader/report"
	"mimicsync/internal/durable"
	"mimicsync/store"
)

// Tell lets a test tell of what would take many passes.
func (d *Daemon) Tell(e notify.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tell(e)
}

// SetFree lets a test say how much room there is, before Run.
func (d *Daemon) SetFree(bytes func() int64) {
	d.free = func(string) (durable.Space, error) { return durable.Space{Bytes: bytes(), Inodes: -1}, nil }
}

// NextTime and Correct are for the tables of their tests.
var (
	NextTime = nextTime
	Correct  = correct
)

// KeptFailures says how many failures are kept of passes that ended one after the
// other with so many, and checks that a reader of the reports sees them as they were.
func KeptFailures(counts ...int) (kept []int, untouched bool) {
	d, before := &Daemon{}, []*report.Report{}
	for _, n := range counts {
		p := &pass{ended: true, report: &report.Report{Failures: make([]store.Failure, n)}}
		d.recent, before = append(d.recent, p), append(before, p.report)
		d.trimDetails()
	}
	untouched = true
	for i, p := range d.recent {
		kept = append(kept, len(p.report.Failures))
		untouched = untouched && len(before[i].Failures) == counts[i]
	}
	return kept, untouched
}

// DaysKept says how many days of traffic are kept after something came on each of n.
func DaysKept(n int) int {
	t := traffic{days: map[string]int64{}}
	for day := range n {
		t.add(time.Date(2026, 1, 1+day, 12, 0, 0, 0, time.Local), 1)
	}
	return len(t.days)
}
