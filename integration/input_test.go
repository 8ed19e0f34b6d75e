package integration

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/klauspost/compress/zstd"
	"github.com/tidwall/gjson"
)

// reasonOf finds the reason of a refusal in any dialect.
func reasonOf(body string) string {
	for _, path := range []string{"error.credits.reason", "error.details.credits.reason", "credits.reason"} {
		if v := gjson.Get(body, path); v.Exists() {
			return v.String()
		}
	}
	return ""
}

// smallBodies is the shipped Caddyfile with a max_body that tests can reach.
func smallBodies(t *testing.T) string {
	return strings.Replace(read(t, "../Caddyfile"), "\tmeter\n", "\tmeter {\n\t\tmax_body 100KB\n\t}\n", 1)
}

// What can't be priced is refused: no charge, no upstream request, and never a 500.
func TestBadRequests(t *testing.T) {
	g := start(t, setup{caddyfile: smallBodies(t)})
	key := g.account("acme", "1000")
	image := func(more string) string { return `{"prompt":"a pier",` + more + `}` }
	tests := []struct {
		path, body string
		status     int
		reason     string
	}{
		{chatPath, `{"model":`, 400, "body_not_json"},
		{chatPath, ``, 400, "missing_model"},
		{chatPath, `null`, 400, "missing_model"},
		{chatPath, `[]`, 400, "missing_model"},
		{chatPath, `"demo-small"`, 400, "missing_model"},
		{chatPath, "\x00\x01\x02", 400, "body_not_json"},
		{chatPath, chatBody("demo-small") + "x", 400, "body_not_json"},
		{chatPath, chatBody("demo-small") + chatBody("demo-small"), 400, "body_not_json"},
		{chatPath, strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), 400, ""},
		{chatPath, `{"messages":[]}`, 400, "missing_model"},
		{chatPath, `{"model":"","messages":[]}`, 400, "missing_model"},
		{chatPath, `{"model":7,"messages":[]}`, 400, ""},
		{chatPath, `{"model":null,"messages":[]}`, 400, "missing_model"},
		{chatPath, chatBody("demo-small", `"model":"gpt-5.4"`), 400, "ambiguous_request"},
		{chatPath, chatBody("demo-small", `"mod\u0065l":"gpt-5.4"`), 400, "ambiguous_request"},
		{chatPath, chatBody("demo-small", `"Model":"gpt-5.4"`), 400, "ambiguous_request"},
		{chatPath, chatBody("demo-small", `"max_tokens":1`, `"MAX_TOKENS":9`), 400, "ambiguous_request"},
		{chatPath, chatBody("demo-small", `"stream":false`, `"stream":true`), 400, "ambiguous_request"},
		{chatPath, chatBody("demo-small", `"max_tokens":-5`), 400, "quantity_invalid"},
		{chatPath, chatBody("demo-small", `"max_tokens":"many"`), 400, "quantity_invalid"},
		{chatPath, chatBody("demo-small", `"max_tokens":1.5`), 400, "quantity_invalid"},
		{chatPath, chatBody("demo-small", `"max_tokens":[1]`), 400, "quantity_invalid"},
		{chatPath, chatBody("demo-small", `"n":-1`), 400, "quantity_invalid"},
		{chatPath, chatBody("demo-small", `"n":1e9`), 400, "quantity_too_large"},
		{chatPath, chatBody("demo-small", `"max_tokens":99999999999999999999999999`), 400, "quantity_too_large"},
		{chatPath, chatBody("demo-small", `"max_tokens":1e400`), 400, "quantity_too_large"},
		{chatPath, chatBody("gpt-9"), 403, "model_not_priced"},
		{chatPath, chatBody("gpt-5.4 "), 403, "model_not_priced"},
		{chatPath, chatBody("GPT-5.4-x"), 403, "model_not_priced"},
		{"/v1/images", image(`"n":-1`), 400, "quantity_invalid"},
		{"/v1/images", image(`"n":1.5`), 400, ""},
		{"/v1/images", image(`"n":11`), 400, "quantity_too_large"},
		{"/v1/images", image(`"n":1e30`), 400, "quantity_too_large"},
		{"/v1/images", image(`"n":"2"`), 400, "quantity_invalid"},
		{"/v1/images", image(`"n":true`), 400, "quantity_invalid"},
		{"/v1/images", image(`"n":1,"n":10`), 400, "ambiguous_request"},
		{"/v1/images", image(`"n":1,"N":10`), 400, "ambiguous_request"},
		{"/v1/videos", `{"seconds":"-1"}`, 400, "quantity_invalid"},
		{"/v1/videos", `{"seconds":"1e3"}`, 400, ""},
		{"/v1/videos", `{"seconds":"NaN"}`, 400, "quantity_invalid"},
		{"/v1/messages", chatBody("gpt-9", `"max_tokens":5`), 403, "model_not_priced"},
		{"/v1/audio/speech", `{"model":"demo-small","input":"x"}`, 403, "operation_not_priced"},
		{"/", `{}`, 403, "operation_not_priced"},
		{"/v1/batches", `{}`, 403, "operation_not_priced"},
		{"/v1/chat/completions/..", `{}`, 403, "operation_not_priced"},
		{"/v1/chat/completions/%2e%2e/batches", chatBody("demo-small"), 403, "operation_not_priced"},
		{"/v1%2fchat%2fcompletions", chatBody("demo-small"), 400, "ambiguous_request"},
		{"/v1/models%2f..%2fbatches", `{}`, 400, "ambiguous_request"},
		{"/v1/models/../batches", `{}`, 403, "operation_not_priced"},
		{chatPath, chatBody("demo-small", `"user":"`+strings.Repeat("x", 200_000)+`"`), 413, "body_too_large"},
	}
	for _, tt := range tests {
		a := g.post(key, tt.path, tt.body)
		if a.StatusCode != tt.status || tt.reason != "" && reasonOf(a.body) != tt.reason {
			t.Errorf("%s %.100s: %d %s, want %d %s\n%.300s", tt.path, tt.body, a.StatusCode, reasonOf(a.body), tt.status, tt.reason, a.body)
		}
	}
	if n := g.mock.Requests(); n != 0 {
		t.Errorf("%d refused requests went upstream, the last was %+v", n, g.mock.Last())
	}
	g.has("acme", "1000")
	if n := g.kinds("acme"); n["hold"] != 0 {
		t.Errorf("%v", n)
	}
}

// Whatever a path looks like: what reaches the upstream has been charged.
func TestPathTricks(t *testing.T) {
	var mu sync.Mutex
	chats := 0
	g := start(t, setup{upstream: func(mock http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			mock.ServeHTTP(answer, r)
			clean := strings.ToLower(path.Clean(strings.ReplaceAll(r.URL.Path, `\`, "/")))
			if r.Method == http.MethodPost && strings.Contains(clean, "completions") && strings.Contains(answer.Body.String(), `"choices"`) { // what is no chat costs nothing
				mu.Lock()
				chats++
				mu.Unlock()
			}
			maps.Copy(w.Header(), answer.Header())
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		})
	}})
	key := g.account("acme", "1000")
	for _, p := range []string{
		"//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/v1/chat/completions//", "/v1/./chat/completions", "/v1/x/../chat/completions",
		"/v1/chat/completions?x=1", "/v1/chat/completions;x=1", "/V1/CHAT/completions", "/v1/chat/%63ompletions", "/%76%31/chat/completions", "/v1/chat/completions%00",
		"/v1/chat/completions%20", "/v1/models/../chat/completions", "/v1/models%2f..%2fchat/completions", "/v1/models/%2e%2e/chat/completions", "/v1/models/..;/chat/completions",
		"/v1/models//../chat/completions", `/v1/models\..\chat/completions`, "/v1/messages/count_tokens/../", "/v1/messages/count_tokens%2f..",
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			if a := g.send(method, p, chatBody("demo-small"), "X-Api-Key", key); a.StatusCode >= 500 {
				t.Errorf("%s %s: %s", method, p, a.Status)
			}
		}
	}
	g.settled("acme")
	if n := g.kinds("acme"); chats == 0 || n["settle"] < chats {
		t.Errorf("%d chats upstream, %v", chats, n)
	}
	t.Logf("%d of the requests are chats and were charged", chats)
}

func compressed(t *testing.T, encoding, body string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w, err = flate.NewWriter(&b, 5)
	case "br":
		w = brotli.NewWriter(&b)
	case "zstd":
		w, err = zstd.NewWriter(&b)
	}
	if err == nil {
		_, err = io.WriteString(w, body)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCompressedRequests(t *testing.T) {
	g := start(t, setup{caddyfile: smallBodies(t)})
	key := g.account("acme", "1000")
	body := chatBody("demo-small")
	left, cost := 1_000_000, price("demo", helloTokens, usualTokens)
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd"} {
		a := g.post(key, chatPath, compressed(t, encoding, body), "Content-Encoding", encoding)
		last := g.mock.Last()
		if a.StatusCode != 200 || a.cost() != credits(cost) || string(last.Body) != body || last.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %s, cost %s, upstream saw %q %q", encoding, a.Status, a.cost(), last.Header.Get("Content-Encoding"), last.Body)
		}
		left -= cost
	}
	served := g.mock.Requests()
	bomb := strings.Repeat(" ", 50<<20)
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		if a := g.post(key, chatPath, compressed(t, encoding, bomb), "Content-Encoding", encoding); a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("bomb of %s: %s", encoding, a.Status)
		}
		if a := g.post(key, chatPath, body, "Content-Encoding", encoding); a.StatusCode != http.StatusBadRequest {
			t.Errorf("not %s: %s", encoding, a.Status)
		}
		if a := g.post(key, chatPath, compressed(t, encoding, body)[:20], "Content-Encoding", encoding); a.StatusCode != http.StatusBadRequest {
			t.Errorf("torn %s: %s", encoding, a.Status)
		}
	}
	for _, encoding := range []string{"lzma", "gzip, gzip", "gzip,br", "*"} {
		if a := g.post(key, chatPath, body, "Content-Encoding", encoding); a.StatusCode != http.StatusUnsupportedMediaType || reasonOf(a.body) != "encoding_unknown" {
			t.Errorf("%s: %s %s", encoding, a.Status, a.body)
		}
	}
	if g.mock.Requests() != served {
		t.Errorf("%d refused requests went upstream", g.mock.Requests()-served)
	}
	g.has("acme", credits(left))
}

func TestKeys(t *testing.T) {
	g := start(t, setup{})
	key, other := g.account("acme", "10"), g.account("other", "10")
	var revoked, expired struct {
		directory.Key
		Secret string
	}
	g.must(g.ask(http.MethodPost, "/meter/accounts/acme/keys", nil, &revoked))
	g.must(g.ask(http.MethodDelete, "/meter/accounts/acme/keys/"+revoked.ID, nil, nil))
	g.must(g.ask(http.MethodPost, "/meter/accounts/acme/keys", map[string]any{"expires_at": time.Now().Add(-time.Hour)}, &expired))
	body := chatBody("demo-small")
	for _, tt := range []struct {
		headers []string
		reason  string
	}{
		{nil, "no_key"},
		{[]string{"Authorization", "Bearer"}, "no_key"},
		{[]string{"Authorization", "Bearer sk-123"}, "unknown_key"},
		{[]string{"X-Api-Key", key[:len(key)-1]}, "unknown_key"},
		{[]string{"X-Api-Key", strings.ToUpper(key)}, "unknown_key"},
		{[]string{"X-Api-Key", key + "x"}, "unknown_key"},
		{[]string{"Authorization", "Bearer " + revoked.Secret}, "key_revoked"},
		{[]string{"X-Goog-Api-Key", expired.Secret}, "key_expired"},
		{[]string{"X-Api-Key", "fb_live_" + strings.Repeat("A", 38)}, "unknown_key"},
		{[]string{"X-Api-Key", "fb_live_" + strings.Repeat("\xff", 38)}, "unknown_key"},
	} {
		a := g.send(http.MethodPost, chatPath, body, tt.headers...)
		if a.StatusCode != http.StatusUnauthorized || reasonOf(a.body) != tt.reason || a.Header.Get("Credits-Charge") != "" {
			t.Errorf("%q: %s %s", tt.headers, a.Status, a.body)
		}
	}
	if g.mock.Requests() != 0 {
		t.Errorf("%d refused requests went upstream", g.mock.Requests())
	}
	cost := price("demo", helloTokens, usualTokens)
	for _, headers := range [][]string{
		{"X-Api-Key", key},
		{"Api-Key", key},
		{"X-Goog-Api-Key", key},
		{"Authorization", "bearer  " + key},
		{"Authorization", "Bearer sk-of-the-client", "X-Api-Key", key}, // a provider's key next to it is not forwarded either
	} {
		a := g.send(http.MethodPost, chatPath, body, headers...)
		if a.StatusCode != http.StatusOK || a.cost() != credits(cost) {
			t.Errorf("%q: %s %s", headers[0], a.Status, a.body)
		}
		g.upstreamSaw(key)
		g.upstreamSaw("sk-of-the-client")
	}
	if a := g.send(http.MethodPost, chatPath+"?key="+key+"&x=1", body); a.StatusCode != http.StatusOK || strings.Contains(g.mock.Last().Query, key) {
		t.Errorf("key in the query: %s, upstream saw %q", a.Status, g.mock.Last().Query)
	}
	if a := g.send(http.MethodPost, chatPath, body, "Authorization", "Bearer "+key, "X-Api-Key", other); a.StatusCode != http.StatusOK {
		t.Errorf("two keys: %s", a.Status)
	}
	g.upstreamSaw(other)
	g.has("acme", credits(10_000-7*cost))
	g.has("other", "10")
}

func TestUpgradesAreRefused(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "10")
	for _, path := range []string{"/v1/responses", chatPath, "/v1/realtime?model=demo-small"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a := g.send(method, path, "", "X-Api-Key", key, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
			if a.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s: %s %s", method, path, a.Status, a.body)
			}
		}
	}
	if g.mock.Requests() != 0 {
		t.Errorf("%d requests went upstream", g.mock.Requests())
	}
	g.has("acme", "10")
}

// Numbers that are written otherwise mean what they mean to the upstream.
func TestUnusualNumbers(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "1000")
	left := 1_000_000
	for written, tokens := range map[string]int{"10": 10, "1e1": 10, "10.0": 10, "0.1e2": 10} {
		a := g.post(key, chatPath, chatBody("demo-small", fmt.Sprintf(`"max_tokens":%s`, written)))
		cost := price("demo", helloTokens, tokens)
		if a.StatusCode != 200 || a.cost() != credits(cost) {
			t.Errorf("%s: %s cost %s, want %s", written, a.Status, a.cost(), credits(cost))
		}
		left -= cost
	}
	g.has("acme", credits(left))
}
