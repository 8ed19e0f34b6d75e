package caddymodule

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/internal/wsframe"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/dialect"
)

// upgrades reports whether a request asks to leave HTTP, by an Upgrade header
// or, over HTTP/2 and 3, by extended CONNECT.
func upgrades(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect
}

// metersUpgrade reports whether the connection that a request asks for can be
// metered: a WebSocket of an API that reports what it uses.
func (h *Handler) metersUpgrade(r *http.Request) bool {
	return h.Upgrade == "meter" && r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		dialect.Detect(r.Method, r.URL.Path, "").Socket
}

// plainSocket makes a WebSocket request one whose frames can be read: without
// compression.
func plainSocket(h http.Header) { h.Del("Sec-WebSocket-Extensions") }

// socket is the client's connection after the upgrade. It reads the frames that
// pass and ends the connection when the credits do.
type socket struct {
	net.Conn
	t *response

	mu      sync.Mutex
	closed  bool // the charge is settled, or about to be
	client  wsframe.Reader
	server  wsframe.Reader
	gone    chan struct{} // closed: the client is not there any more
	goneNow sync.Once
}

// lingerFor is how long the client may take to hear why the connection ends.
const lingerFor = 2 * time.Second

var (
	errExhausted  = errors.New("the credits are used up")
	errUnreadable = errors.New("the upstream sends WebSocket frames that can't be metered")
)

// switched begins an answer with which the upstream leaves HTTP.
func (t *response) switched(c meter.Metered) {
	t.turns, t.body = c.Socket(t.Header()), &streamed{t: t}
	t.Header().Del("Sec-WebSocket-Extensions")
	t.setCharge()
	t.setHeld()
	t.ResponseWriter.WriteHeader(t.status)
}

// Hijack implements http.Hijacker.
func (t *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil || t.turns == nil {
		return conn, rw, err
	}
	t.socket = &socket{Conn: conn, t: t, gone: make(chan struct{})}
	if n := rw.Reader.Buffered(); n > 0 { // frames that came with the request
		if early, err := rw.Peek(n); err == nil {
			t.socket.fromClient(early)
		}
	}
	return t.socket, rw, nil
}

// Read takes bytes from the client.
func (s *socket) Read(p []byte) (int, error) {
	for {
		n, err := s.Conn.Read(p)
		if err != nil {
			s.goneNow.Do(func() { close(s.gone) })
			return n, err
		}
		if s.fromClient(p[:n]) {
			return n, nil
		} // else it is over: nothing starts another turn
	}
}

// fromClient reports whether the bytes may go on to the upstream.
func (s *socket) fromClient(p []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	_, _ = s.client.Read(p, func(message []byte) error {
		s.t.turns.ClientMessage(message)
		return nil
	})
	return true
}

// Write forwards bytes of the upstream to the client, up to the message with
// which the credits are used up.
func (s *socket) Write(p []byte) (int, error) {
	n, last, err := s.fromServer(p)
	if n > 0 {
		if m, werr := s.Conn.Write(p[:n]); werr != nil {
			return m, werr
		}
	}
	if err == nil {
		return len(p), nil
	}
	_ = s.SetWriteDeadline(time.Now().Add(lingerFor))
	if _, werr := s.Conn.Write(last); werr == nil {
		select { // closing with unread bytes would take the words back that were just sent
		case <-s.gone:
		case <-time.After(lingerFor):
		}
	}
	return n, err
}

// fromServer reads the bytes and says how many of them to forward, and with
// what to end.
func (s *socket) fromServer(p []byte) (n int, last []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, nil, net.ErrClosed
	}
	n, err = s.server.Read(p, func(message []byte) error { return s.t.turns.ServerMessage(s.t.r.Context(), message) })
	switch {
	case err == nil:
		return n, nil, nil
	case errors.Is(err, meter.ErrExhausted):
		s.t.stopped, s.closed = true, true
		last = append(wsframe.Frame(wsframe.Text, s.t.turns.LastMessage()), wsframe.Close(wsframe.PolicyViolation, errExhausted.Error())...)
		return n, last, errExhausted
	}
	s.closed = true
	s.t.h.app.log.Error(errUnreadable.Error())
	return 0, wsframe.Close(wsframe.ProtocolError, errUnreadable.Error()), errUnreadable
}

// end keeps what still passes away from a charge that is being settled.
func (s *socket) end() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}
