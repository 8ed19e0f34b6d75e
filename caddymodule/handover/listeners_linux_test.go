package handover

import (
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen listens on a port that others can listen on, too, and counts its connections.
func listen(t *testing.T, addr string) (net.Listener, *atomic.Int64) {
	t.Helper()
	c := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	c.SetMultipathTCP(false)
	l, err := c.Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	n := new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			_ = conn.Close()
		}
	}()
	return l, n
}

// dial opens n connections, and returns how many one of the listeners accepted.
func dial(t *testing.T, addr string, n int, accepted ...*atomic.Int64) (of int64) {
	t.Helper()
	before := accepted[0].Load()
	total := func() (sum int64) {
		for _, a := range accepted {
			sum += a.Load()
		}
		return sum
	}
	want := total() + int64(n)
	for range n {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	for began := time.Now(); total() < want; time.Sleep(time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("%d connections were accepted, want %d", total(), want)
		}
	}
	return accepted[0].Load() - before
}

// TestNewConnectionsAreTheSuccessors, through several successions: each takes the place
// of the one before it.
func TestNewConnectionsAreTheSuccessors(t *testing.T) {
	old, toOld := listen(t, "127.0.0.1:0")
	addr := old.Addr().String()
	for round := range 4 {
		next, toNext := listen(t, addr)
		if round == 0 {
			if n := dial(t, addr, 100, toNext, toOld); n == 0 || n == 100 {
				t.Errorf("by itself, the system gives %d of 100 connections to the second listener", n)
			}
		}
		if !Steer() {
			t.Error("the listeners cannot be steered")
		}
		if n := dial(t, addr, 100, toNext, toOld); n != 100 {
			t.Errorf("round %d: %d of 100 new connections were the successor's", round, n)
		}
		_ = old.Close()
		if n := dial(t, addr, 20, toNext); n != 20 {
			t.Errorf("round %d: alone, it got %d of 20", round, n)
		}
		Unsteer()
		old, toOld = next, toNext
	}
}
