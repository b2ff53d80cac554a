//go:build unix

package notify

import (
	"os/exec"
	"syscall"
)

// isolate gives a program its own process group, and ends it with all its children.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
