package handover

import (
	"net"
	"os"
	"strconv"
)

// tellSystemd tells the service manager, if there is one, which process the service is
// now: else it would take the end of this one for that of the service.
func tellSystemd(pid int) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return // as Caddy does when it cannot notify it
	}
	defer c.Close() //nolint:errcheck // nothing is buffered
	_, _ = c.Write([]byte("MAINPID=" + strconv.Itoa(pid)))
}
