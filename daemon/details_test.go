package daemon_test

import (
	"slices"
	"testing"

	"mimicsync/daemon"
)

// A year of refreshes that fail for thousands of files each: the daemon names all of
// the last ones, and the first few of those before.
func TestEndedPassesTakeLittleMemory(t *testing.T) {
	for _, tt := range []struct{ counts, want []int }{
		{[]int{5, 10_000, 300}, []int{5, 10_000, 300}},
		{[]int{10_000, 9_000, 8_000, 7_000}, []int{20, 20, 8_000, 7_000}},
		{[]int{15, 10_000, 10_000, 1}, []int{15, 20, 10_000, 1}},
	} {
		got, untouched := daemon.KeptFailures(tt.counts...)
		if !slices.Equal(got, tt.want) || !untouched {
			t.Errorf("of passes with %v failures are kept %v, reports untouched %t; want %v", tt.counts, got, untouched, tt.want)
		}
	}
}

func TestTrafficIsKeptForThirtyDays(t *testing.T) {
	for n, want := range map[int]int{3: 3, 30: 30, 500: 30} {
		if got := daemon.DaysKept(n); got != want {
			t.Errorf("of %d days are kept %d, want %d", n, got, want)
		}
	}
}
