//go:build linux

package main

import (
	"testing"
	"time"
)

// A server that sends without end, for some seconds: memory and log stay small, and what it sends is not repeated.
func TestAFloodFillsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	s, err := openStage(t.Context(), stageOptions{dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	must(t, s.needsCommand())
	for i, kind := range []string{"a long header", "bodies", "cookies", "manifest of long names"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r, err := s.floodPull(t.Context(), kind, string(rune('a'+i)), 3*time.Second)
			must(t, err)
			if !r.good() {
				t.Errorf("%+v, want less memory, log or state, and nothing told", r)
			}
		})
	}
}
