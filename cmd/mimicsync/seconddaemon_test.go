package main

import (
	"fmt"
	"os"
	"testing"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/store"
)

// status would not reach a daemon on another machine.
func TestDaemonElsewhereIsNoSecondDaemon(t *testing.T) {
	err := &store.LockedError{Owner: store.Owner{Host: "elsewhere.example.com", PID: 42, Command: advice.DaemonOwner}}
	if second := secondDaemon(err); second != nil {
		t.Errorf("secondDaemon = %v, want nil", second)
	}
}

// A daemon that finds another one on its machine sends its user there.
func TestASecondDaemonHere(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]bool{"daemon": true, "pull": false} {
		err := &store.LockedError{Owner: store.Owner{Host: host, PID: 42, Command: command}}
		if second := secondDaemon(fmt.Errorf("open: %w", err)); (second != nil) != want {
			t.Errorf("secondDaemon(%v) = %v", err, second)
		}
	}
}
