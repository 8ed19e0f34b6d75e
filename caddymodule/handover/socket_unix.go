//go:build unix

package handover

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// pair is a connection between this process and one that inherits theirs.
func pair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1]) // ExtraFiles are copies without it
	ours, err = inherit(fds[0])
	theirs = os.NewFile(uintptr(fds[1]), "successor")
	if err != nil {
		err = errors.Join(err, theirs.Close())
	}
	return ours, theirs, err
}

// inherit is the connection at an open file.
func inherit(fd int) (net.Conn, error) {
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "handover")
	defer f.Close() //nolint:errcheck // the connection has a copy
	return net.FileConn(f)
}
