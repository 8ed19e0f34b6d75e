package browser

import (
	"os/exec"
	"syscall"
)

// endsWithUs: a process that a test has started ends with it, also when the test
// panics or is killed.
func endsWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
