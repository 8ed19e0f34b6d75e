package integration

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// loggingAll logs as much as Caddy can: every level, credentials, two outputs.
const loggingAll = `{
	admin {$FAREBOX_ADMIN}
	debug
	servers {
		log_credentials
	}
	meter {
		store badger {$FAREBOX_DATA}
		pricing {$FAREBOX_PRICING}
	}
}

http://:{$FAREBOX_PORT} {
	bind 127.0.0.1
	log
	meter_dashboard
	handle_errors {
		respond "{err.status_code} {err.message}"
	}
	route {
		meter
		reverse_proxy {$FAREBOX_UPSTREAM} {
			header_up x-api-key {env.ANTHROPIC_API_KEY}
			header_up Authorization "Bearer {env.OPENAI_API_KEY}"
			flush_interval -1
		}
	}
}
`

// Whatever is logged, and whatever goes wrong: no key of a client or of the operator
// is in it. The harness searches all logs when a test ends.
func TestNoSecretIsLogged(t *testing.T) {
	broken := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Api-Key") != "sk-ant-of-the-provider" || r.Header.Get("Authorization") != "Bearer sk-of-the-provider" {
				t.Errorf("the upstream got the keys %q, %q", r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"))
			}
			if r.Header.Get("X-Break") == "" {
				h.ServeHTTP(w, r)
				return
			}
			if r.Header.Get("X-Break") == "later" {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")
				_ = http.NewResponseController(w).Flush()
			}
			panic(http.ErrAbortHandler)
		})
	}
	g := start(t, setup{caddyfile: loggingAll, upstream: broken})
	key := g.account("acme", "500")
	places := []func(r *http.Request){
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) },
		func(r *http.Request) { r.Header.Set("X-Api-Key", key) },
		func(r *http.Request) { r.Header.Set("X-Goog-Api-Key", key) },
		func(r *http.Request) { r.Header.Set("Api-Key", key) },
		func(r *http.Request) { r.URL.RawQuery = "alt=sse&key=" + key },
		func(r *http.Request) { r.URL.RawQuery = "k%65y=" + key },
		func(r *http.Request) {
			r.Header.Set("X-Api-Key", key)
			r.Header.Set("Referer", "http://example.com/?key="+key)
			r.Header.Set("X-Secret-Thing", "fb_live_0123456789abcdef0123")
			r.Header.Set("Cookie", "meter=fb_sess_0123456789abcdef0123")
		},
	}
	for _, place := range places {
		for _, breaks := range []string{"", "at once", "later"} {
			for _, path := range []string{"/v1/images", "/v1/chat/completions", "/nowhere"} {
				r := newRequest(t, "http://"+g.addr+path, `{"model":"gpt-5.4","prompt":"x","stream":true,"max_tokens":10,"messages":[{"role":"user","content":"x"}]}`)
				place(r)
				r.Header.Set("X-Break", breaks)
				if res, err := http.DefaultClient.Do(r); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}
		}
	}
	link := g.cli("portal", "acme", "--table")
	link.want(t, "link", 0, "fb_link_")
	token := regexp.MustCompile(`fb_link_[A-Za-z0-9_-]+`).FindString(link.stdout)
	for _, path := range []string{"/_meter/open/" + token, "/_meter/open/" + token, "/_meter/open/fb_link_0123456789abcdef0123?a=b"} {
		if res, err := http.Get("http://" + g.addr + path); err == nil {
			_ = res.Body.Close()
		}
	}
	g.eventually("the requests are logged", func() bool { return strings.Count(g.log.String(), `"handled request"`) >= 3*3*len(places) })
	for _, want := range []string{"aborting with incomplete response", "upstream roundtrip", `"meter":{`, "REDACTED", "/_meter/open/REDACTED"} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("the log has no %q: the test does not show what it should", want)
		}
	}
}

func newRequest(t *testing.T, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}
