package main

import (
	"slices"
	"testing"

	"mimicsync/configs"
)

// TestEverySourceHasAKind: the configuration accepts exactly the sources that can be opened.
func TestEverySourceHasAKind(t *testing.T) {
	var names []string
	for _, kind := range sourceKinds {
		names = append(names, kind.name)
	}
	if !slices.Equal(names, configs.SourceNames) {
		t.Errorf("sourceKinds are %q, and the configuration accepts %q", names, configs.SourceNames)
	}
}
