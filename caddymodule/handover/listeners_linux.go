package handover

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Steer sends all new connections to the successor, which listens on the same ports. If
// the old process simply closed its listeners, connections that it has not accepted yet
// would be reset.
//
// The kernel asks a program which of the listeners of a port gets a connection, by
// their number: this process came first, so the successor is number 1. It does not ask
// for listeners of multipath TCP, which cmd/farebox therefore does without. Steer reports
// whether it worked for all of them.
func Steer() bool {
	ok := true
	second := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 1}}
	listeners(func(fd int) {
		err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: 1, Filter: &second[0]})
		ok = ok && err == nil
	})
	return ok
}

// Unsteer ends what the predecessor's Steer did, when this process is alone.
func Unsteer() {
	listeners(func(fd int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0) }) // there may be none
}

// listeners calls fn with each socket on which this process accepts connections of a
// port that others can listen on, too.
func listeners(fn func(fd int)) {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, f := range files {
		fd, err := strconv.Atoi(f.Name())
		if err != nil || !is(fd, unix.SO_ACCEPTCONN) || !is(fd, unix.SO_REUSEPORT) {
			continue
		}
		fn(fd)
	}
}

func is(fd, option int) bool {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
	return err == nil && v != 0
}
