package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"mimicsync/store"
)

// A server that hangs up is in trouble, and no error of this program.
func TestAServerThatHangsUp(t *testing.T) {
	for _, err := range []error{io.EOF, io.ErrUnexpectedEOF} {
		if a := advise(fmt.Errorf("the newest version: %w", err)); a.code != exitIncomplete || !strings.Contains(a.hint, "the server has trouble") {
			t.Errorf("advise(%v) = %+v", err, a)
		}
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

// The pid of an owner on another machine is another process's here.
func TestAnOwnerElsewhere(t *testing.T) {
	for _, command := range []string{"pull", "daemon"} {
		err := &store.LockedError{Owner: store.Owner{Host: "elsewhere.example.com", PID: 42, Command: command}}
		if a := advise(err); a.code != exitOwned || !strings.Contains(a.hint, "on elsewhere.example.com with: kill 42") {
			t.Errorf("advise(%v) = %+v, want it stopped there", err, a)
		}
		if second := secondDaemon(err); second != nil {
			t.Errorf("a daemon here takes %v for one that runs here", second)
		}
	}
}
