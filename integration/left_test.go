package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

const leftPrices = `
version: 1
credit: {name: credit}
operations:
  fixed: {match: POST /fixed, price: 24}
  chat: {match: POST /v1/chat/completions, price: by_model}
models: {m: {per_1k_tokens: {input: 1, output: 8}, max_output_tokens: 1000}}
plans: {paid: {}}
default_plan: paid
`

// A client that disconnects pays for what the upstream did, as if it had stayed: an upstream
// that never had the whole request, or that then gave no answer, has done nothing.
func TestWhoLeavesPaysForWhatWasDone(t *testing.T) {
	reached := make(chan struct{}, 1)
	proceed := make(chan struct{})
	g := start(t, setup{prices: func(string) string { return leftPrices }, upstream: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > 1000 { // the rest of the body never comes
				reached <- struct{}{}
			}
			if _, err := io.ReadAll(r.Body); err != nil {
				return
			}
			reached <- struct{}{}
			<-proceed
			switch r.Header.Get("X-Then") {
			case "breaks":
				panic(http.ErrAbortHandler)
			case "tears":
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Length", "500")
				_, _ = w.Write([]byte(`{"choices":[`))
			default:
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(`{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":1000,"completion_tokens":1000}}`))
			}
		})
	}})
	chat := `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
	for i, c := range []struct {
		path, body, then string
		length           int
		spent            string
	}{
		{"/fixed", "{}", "answers", 2, "24"},
		{"/fixed", "{}", "breaks", 2, "0"},
		{"/fixed", "{", "answers", 2000, "0"},
		{chatPath, chat, "answers", len(chat), "9"},
		{chatPath, chat, "breaks", len(chat), "0"},
		{chatPath, chat, "tears", len(chat), "0"},
	} {
		account := fmt.Sprintf("a%d", i)
		key := g.account(account, "100")
		conn, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nX-Then: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", c.path, key, c.then, c.length, c.body); err != nil {
			t.Fatal(err)
		}
		<-reached
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // until the gateway has noticed
		if c.length == len(c.body) {
			proceed <- struct{}{}
		}
		if a := g.settled(account); a.Spent != c.spent {
			t.Errorf("%s %s, body of %d: spent %s, want %s", c.path, c.then, c.length, a.Spent, c.spent)
		}
	}
}
