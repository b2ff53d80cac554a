//go:build linux

package link

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// A thread that ends takes along the processes that it started, if they are to
// end with their parent: the threads of a link must not end with it, for they
// have started other processes before.
func TestAClosedLinkEndsNoOtherProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skip("needs /dev/net/tun")
	}
	sleeper := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "sleep", "600")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	for range 20 {
		other, done := sleeper(), make(chan error)
		go func() { done <- other.Start() }() // from whichever thread is free, as Open's own are
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		l, err := Open(sleeper())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := other.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = other.Wait() // it says how it ended, which is the question
		if got := other.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != syscall.SIGTERM {
			t.Fatalf("the process that ran beside the link was ended by %q, want it to run until SIGTERM", got)
		}
	}
}
