//go:build !linux

package browser

import "os/exec"

// endsWithUs does what it says on Linux only.
func endsWithUs(*exec.Cmd) {}
