//go:build linux

package main

import (
	"testing"
	"time"
)

// A short soak: passes end as they must, a kill costs nothing, and nothing is left over at rest. That memory stays constant is
// seen in a long one.
func TestAShortSoakHasNoSurprises(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	s, err := openStage(t.Context(), stageOptions{dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	result, err := s.soak(t.Context(), soakOptions{length: 16 * time.Second, lives: 2, seed: 5})
	must(t, err)
	if l := &result.Ledger; result.Missed > 0 || l.Passes < 10 || l.Faults < 5 || l.Fetched < soakDatasets*soakFiles {
		t.Errorf("%d passes, %d faults, %d files fetched\nverdicts %q\nsurprises %q", l.Passes, l.Faults, l.Fetched, result.Verdicts, l.Unexpected)
	}
}
