//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAChangedConfigurationIsNoticed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &configWatch{path: file}
	look := func(what string, want bool, says string) {
		t.Helper()
		changed, err := w.look()
		said := ""
		if err != nil {
			said = err.Error()
		}
		if changed != want || says == "" && said != "" || !strings.Contains(said, says) {
			t.Errorf("%s: %v, %q, want %v, %q", what, changed, said, want, says)
		}
	}
	w.take()
	look("none, as in the beginning", false, "")
	write("connections: 3\n")
	look("a file that somebody may still be writing", false, "")
	look("a file where there was none", true, "")
	look("the same, which was not read yet", true, "")
	w.take()
	look("after it was read", false, "")
	write("connections: 3\n")
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	look("touched", false, "")
	look("touched, a look later", false, "")
	write(" \n")
	look("emptied", false, "it is empty")
	look("still empty", false, "")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	look("removed", false, "no such file")
	look("still away", false, "")
	write("connections: 3\n")
	look("back as it was", false, "")
	look("back as it was, a look later", false, "")
	write("connections: 4\n")
	look("another one", false, "")
	look("another one, a look later", true, "")
}

// A running daemon takes a changed file over by itself, and one that is wrong not:
// it says so once.
func TestADaemonNoticesAChangedConfiguration(t *testing.T) {
	s := newBench(t)
	s.configure("datasets: [{name: demo, schedule: off}]\n")
	serving, log := s.serving(nil)
	serving.look = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serving.run(ctx) }()
	log.logged("daemon started")
	s.configure("conections: 3\n")
	log.loggedWith("configuration not reloaded", "conections")
	s.configure("\n")
	log.loggedWith("configuration not reloaded", "the one in force stays")
	s.configure("datasets: [{name: demo, schedule: off}, {name: mimic-iv-demo, schedule: off}]\n")
	log.logged("configuration reloaded")
	if n := len(serving.daemon.Load().Status().Datasets); n != 2 {
		t.Errorf("%d datasets, want those of the new configuration", n)
	}
	if n := strings.Count(log.log.String(), "conections"); n != 1 {
		t.Errorf("a wrong file is told of %d times, want once", n)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
