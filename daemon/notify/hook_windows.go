package notify

import "os/exec"

// isolate does nothing on Windows: the program is killed without its children, which a
// process group doesn't reach.
func isolate(cmd *exec.Cmd) { cmd.Cancel = func() error { return cmd.Process.Kill() } }
