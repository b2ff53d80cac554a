package notify

import "os/exec"

// isolate lets a program be killed without its children, which a process group
// of Windows does not reach.
func isolate(cmd *exec.Cmd) { cmd.Cancel = func() error { return cmd.Process.Kill() } }
