package main

import (
	"strings"
	"testing"
)

func TestConnectionsThatFitTheOpenFiles(t *testing.T) {
	for _, tt := range []struct {
		connections     int
		openFiles       uint64
		sources, passes int
		want            int
	}{
		{8, 1024, 1, 1, 8},
		{256, 1 << 20, 3, 40, 256},
		{256, 1<<63 - 1, 3, 1, 256}, // unlimited
		{200, 300, 1, 1, 110},
		{64, 300, 3, 1, 55},
		{64, 300, 3, 5, 19},
		{8, 100, 1, 1, 8},
		{8, 90, 1, 1, 5},
		{8, 40, 1, 1, 1}, // it may still do
		{8, 256, 1, 90, 1},
	} {
		if got := fitting(tt.connections, tt.openFiles, tt.sources, tt.passes); got != tt.want {
			t.Errorf("fitting(%d, %d, %d, %d) = %d, want %d", tt.connections, tt.openFiles, tt.sources, tt.passes, got, tt.want)
		}
	}
}

func TestFewerConnectionsInWords(t *testing.T) {
	for fits, want := range map[int]string{1: "1 connection instead of 64: this process may open only 72 files; ", 7: "7 connections instead of 64: "} {
		if got := fewer(fits, 64, 72); !strings.HasPrefix(got, want) {
			t.Errorf("fewer(%d, 64, 72) = %q, want %q first", fits, got, want)
		}
	}
}
