//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/manifest"
)

// pipeWithoutReader is a pipe that somebody has stopped to read.
func pipeWithoutReader(t *testing.T) (writer *os.File, leave func()) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() })
	return writer, func() { _ = reader.Close() }
}

// Cron's mailer and `| head` end before the pull does.
func TestAPullOutlivesItsReaders(t *testing.T) {
	s := newBench(t)
	for _, flags := range [][]string{{"-v", "--progress", "plain"}, {"--json"}, {"--progress", "bar"}} {
		if err := os.RemoveAll(s.mirror); err != nil {
			t.Fatal(err)
		}
		writer, leave := pipeWithoutReader(t)
		leave()
		cmd := exec.CommandContext(t.Context(), "mimicsync", append([]string{"pull", "demo"}, flags...)...)
		cmd.Env, cmd.Stdout, cmd.Stderr = s.env, writer, writer
		if err := cmd.Run(); err != nil {
			t.Errorf("pull %q = %v, want it to end well", flags, err)
		}
		if _, err := os.Stat(filepath.Join(s.mirror, "demo", "1.0", manifest.Name)); err != nil {
			t.Error(err)
		}
	}
}

func TestADaemonOutlivesTheReaderOfItsLog(t *testing.T) {
	s := newBench(t)
	writer, leave := pipeWithoutReader(t)
	d := s.startWith(writer)
	client := s.reach(d)
	leave()
	s.pullBy(client)
	d.stop()
}

// A program that is started gets its SIGPIPE as everybody does.
func TestProgramsAreEndedBySIGPIPE(t *testing.T) {
	terminal.OutliveReaders()
	writer, leave := pipeWithoutReader(t)
	leave()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "while :; do echo x; done")
	cmd.Stdout = writer
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Exited() {
		t.Errorf("a program whose reader has gone = %v, want it to end by the signal", err)
	}
}
