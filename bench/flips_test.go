//go:build linux

package main

import (
	"testing"
	"time"
)

// A short campaign of damaged state files: every command ends, and --rebuild cures all.
func TestAFewFlipsAreCured(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command, and runs it a hundred times")
	}
	t.Parallel()
	o := flipOptions{files: 600, random: 8, aimed: 10, seed: 2, limit: time.Minute}
	s, err := openStage(t.Context(), stageOptions{dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	result, err := s.flips(t.Context(), o)
	must(t, err)
	if result.Damages != 18 || result.Commands != 18*6 || result.Named == 0 {
		t.Errorf("%d damages, %d commands, %d damages named; want 18, 108 and some", result.Damages, result.Commands, result.Named)
	}
	for _, fault := range result.Faults {
		t.Error(fault)
	}
}
