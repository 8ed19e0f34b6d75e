package pgtest

import "syscall"

// attributes let the server end when its test is killed.
func attributes(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
