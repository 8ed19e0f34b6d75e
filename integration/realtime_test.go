package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/tidwall/gjson"
)

// metering lets WebSockets pass.
func metering(t testing.TB) string {
	return strings.Replace(read(t, "../Caddyfile"), "\tmeter\n", "\tmeter {\n\t\tupgrade meter\n\t}\n", 1)
}

// realtimePrices prices a socket by what its turns use.
func realtimePrices(prices string) string {
	prices = strings.Replace(prices, "operations:\n", "operations:\n  realtime: {match: GET /v1/realtime, model: query.model, price: by_model}\n", 1)
	return strings.Replace(prices, "models:  ", "models:\n  demo-ears: {per_1k_tokens: {input: 100, output: 100}}\n#", 1)
}

// realtime is an upstream that answers every response.create with a turn of 10
// tokens in and 20 out, and every input_audio_buffer.commit with a transcription.
func realtime(saw chan<- *http.Request) func(http.Handler) http.Handler {
	return by("/v1/realtime", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"realtime"}, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		defer c.CloseNow() //nolint:errcheck // the other side may be gone
		select {
		case saw <- r:
		default:
		}
		send := func(text string) { _ = c.Write(r.Context(), websocket.MessageText, []byte(text)) }
		send(`{"type":"session.created","session":{"model":"demo-voice","audio":{"input":{"transcription":{"model":"demo-ears"}}}}}`)
		for {
			_, p, err := c.Read(r.Context())
			if err != nil {
				return
			}
			switch gjson.GetBytes(p, "type").String() {
			case "response.create":
				send(`{"type":"response.created","response":{"id":"r"}}`)
				if gjson.GetBytes(p, "hang").Bool() {
					send(`{"type":"response.output_text.delta","delta":"` + strings.Repeat("word ", 30) + `"}`)
					continue
				}
				send(`{"type":"response.output_audio.delta","delta":"` + strings.Repeat("A", 1<<17) + `"}`)
				send(`{"type":"response.done","response":{"id":"r","status":"completed","usage":{"total_tokens":30,"input_tokens":10,"output_tokens":20,"input_token_details":{"cached_tokens":0}}}}`)
			case "input_audio_buffer.commit":
				send(`{"type":"conversation.item.input_audio_transcription.completed","transcript":"hello","usage":{"type":"tokens","input_tokens":3,"output_tokens":2,"total_tokens":5}}`)
			}
		}
	})
}

func (g *gateway) dial(path, key string, protocols ...string) (*websocket.Conn, *http.Response, error) {
	g.t.Helper()
	header := http.Header{}
	if key != "" {
		header.Set("Authorization", "Bearer "+key)
	}
	c, res, err := websocket.Dial(g.t.Context(), "ws://"+g.addr+path, &websocket.DialOptions{HTTPHeader: header, Subprotocols: protocols, CompressionMode: websocket.CompressionContextTakeover})
	if c != nil {
		c.SetReadLimit(1 << 20)
		g.t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, res, err
}

// until reads messages up to one of this type.
func until(t testing.TB, c *websocket.Conn, kind string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, p, err := c.Read(ctx)
		if err != nil {
			return "", err
		}
		if gjson.GetBytes(p, "type").String() == kind {
			return string(p), nil
		}
	}
}

func say(t testing.TB, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

const realtimePath = "/v1/realtime?model=demo-voice"

func TestRealtimeIsChargedByItsTurns(t *testing.T) {
	saw := make(chan *http.Request, 1)
	g := start(t, setup{caddyfile: metering(t), prices: realtimePrices, upstream: realtime(saw)})
	key := g.account("acme", "100")
	c, res, err := g.dial(realtimePath, "", "realtime", "openai-insecure-api-key."+key, "openai-beta.realtime-v1") // as browsers do
	if err != nil {
		t.Fatal(err)
	}
	up := <-saw
	if up.Header.Get("Sec-WebSocket-Extensions") != "" || strings.Contains(fmt.Sprint(up.Header), key) || up.Header.Get("Authorization") != "Bearer sk-of-the-provider" {
		t.Errorf("the upstream got %v", up.Header)
	}
	if res.Header.Get("Credits-Charge") == "" || res.Header.Get("Credits-Held") == "" || c.Subprotocol() != "realtime" {
		t.Errorf("%v", res.Header)
	}
	for range 3 {
		say(t, c, `{"type":"response.create"}`)
		if _, err := until(t, c, "response.done"); err != nil {
			t.Fatal(err)
		}
	}
	say(t, c, `{"type":"input_audio_buffer.commit"}`)
	if _, err := until(t, c, "conversation.item.input_audio_transcription.completed"); err != nil {
		t.Fatal(err)
	}
	if a := g.show("acme"); a.Holds != 1 {
		t.Errorf("%d holds while the socket lives", a.Holds)
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	if strings.Contains(g.log.String(), key) {
		t.Error("the client's key is in the access log")
	}
	charge := g.chargeOf("acme", res)
	if want := credits(price("demo", 30, 60) + 500); charge.Cost != want || charge.Estimated || charge.Outcome != "answered" {
		t.Errorf("cost %s, want %s: %+v", charge.Cost, want, charge)
	}
}

// Who hangs up in the middle of a turn pays for what of it was heard.
func TestRealtimeThatBreaksOff(t *testing.T) {
	g := start(t, setup{caddyfile: metering(t), prices: realtimePrices, upstream: realtime(nil)})
	c, res, err := g.dial(realtimePath, g.account("acme", "100"))
	if err != nil {
		t.Fatal(err)
	}
	for _, hang := range []bool{false, true} {
		say(t, c, fmt.Sprintf(`{"type":"response.create","hang":%v}`, hang))
		if _, err := until(t, c, map[bool]string{false: "response.done", true: "response.output_text.delta"}[hang]); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.CloseNow()
	charge := g.chargeOf("acme", res)
	if cost := thousandths(t, charge.Cost); !charge.Estimated || cost < price("demo", 20, 50) || cost > price("demo", 120, 100) {
		t.Errorf("%+v", charge)
	}
}

func TestRealtimeUsesUpTheCredits(t *testing.T) {
	g := start(t, setup{caddyfile: metering(t), prices: func(p string) string { return smallHolds(realtimePrices(p)) }, upstream: realtime(nil)})
	c, res, err := g.dial(realtimePath, g.account("acme", "1"))
	if err != nil {
		t.Fatal(err)
	}
	turns, last := 0, ""
	for last == "" && turns < 20 {
		if c.Write(t.Context(), websocket.MessageText, []byte(`{"type":"response.create"}`)) != nil {
			break
		}
		for {
			_, p, err := c.Read(t.Context())
			if err != nil {
				var closed websocket.CloseError
				if !errors.As(err, &closed) || closed.Code != websocket.StatusPolicyViolation || !strings.Contains(closed.Reason, "credits are used up") {
					t.Fatalf("the socket ends with %v", err)
				}
				break
			}
			if kind := gjson.GetBytes(p, "type").String(); kind == "error" {
				last = string(p)
			} else if kind == "response.done" {
				turns++
				break
			}
		}
	}
	if last == "" { // it came behind the last turn
		if last, err = until(t, c, "error"); err != nil {
			t.Fatal(err)
		}
	}
	if gjson.Get(last, "error.code").String() != "credit_balance_exhausted" || turns < 4 || turns > 6 {
		t.Errorf("%d turns, then %s", turns, last)
	}
	if a := g.settled("acme"); a.Debt != "0" || thousandths(t, a.Available) > 150 {
		t.Errorf("left %s, debt %s", a.Available, a.Debt)
	}
	if charge := g.chargeOf("acme", res); charge.Outcome != "stopped, credits used up" {
		t.Errorf("%+v", charge)
	}
}

func TestRealtimeThatIsRefused(t *testing.T) {
	upstream := realtime(nil)
	for name, tt := range map[string]struct {
		caddyfile, credits, path string
		status                   int
	}{
		"by default":               {"", "100", realtimePath, 403},
		"an API that tells no use": {metering(t), "100", "/v1/chat/completions", 403},
		"without credits":          {metering(t), "0", realtimePath, 402},
		"a model without a price":  {metering(t), "100", "/v1/realtime?model=x", 403},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, setup{caddyfile: tt.caddyfile, prices: realtimePrices, upstream: upstream})
			_, res, err := g.dial(tt.path, g.account("acme", tt.credits))
			if err == nil || res == nil || res.StatusCode != tt.status {
				t.Errorf("%v %v", err, res)
			}
			g.has("acme", tt.credits)
		})
	}
}

// An upstream that takes no WebSocket costs nothing, and one whose frames can't
// be read ends the connection.
func TestRealtimeOfABrokenUpstream(t *testing.T) {
	g := start(t, setup{caddyfile: metering(t), prices: realtimePrices, upstream: by("/v1/realtime", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("model") == "demo-none" {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close() //nolint:errcheck // it is over
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\xc1\x01x"))
		_, _ = conn.Read(make([]byte, 1))
	})})
	key := g.account("acme", "100")
	if _, res, err := g.dial("/v1/realtime?model=demo-none", key); err == nil || res.StatusCode != 503 {
		t.Errorf("%v", err)
	}
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // it is over
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", realtimePath, key)
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var got strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		got.Write(buf[:n])
		if err != nil || strings.Contains(got.String(), "can't be metered") {
			break
		}
	}
	if _, frames, _ := strings.Cut(got.String(), "\r\n\r\n"); strings.Contains(frames, "\xc1") || !strings.Contains(frames, "can't be metered") {
		t.Errorf("the client got %q", got.String())
	}
	_ = conn.Close()
	g.has("acme", "100")
}
