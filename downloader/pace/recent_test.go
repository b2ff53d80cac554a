package pace_test

import (
	"testing"
	"time"

	"mimicsync/downloader/pace"
)

// Only the last requests count, so that a line that became slow is noticed.
func TestRecentForgetsWhatIsLongAgo(t *testing.T) {
	var none *pace.Recent
	if _, known := none.PerSecond(0); known {
		t.Error("a nil Recent knows a rate")
	}
	r := new(pace.Recent)
	r.Add(100e6, time.Second)
	if _, known := r.PerSecond(2); known {
		t.Error("one request is enough where two are asked for")
	}
	for range 5 {
		r.Add(1e6, time.Second)
	}
	if rate, known := r.PerSecond(2); !known || rate != 1e6 {
		t.Errorf("PerSecond = %v, %v, want 1e6 of the last five", rate, known)
	}
}
