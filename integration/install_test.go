package integration

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/internal/mockai"
)

const (
	installClaude = `{"model":"claude-sonnet-4-5","max_tokens":50,"messages":[{"role":"user","content":"hello"}]}`
	bedrockReply  = `{"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn","usage":{"inputTokens":9,"outputTokens":3,"totalTokens":12}}`
)

// upstreams are the requests that each Caddyfile of docs/install.md is tried with,
// and the header in which the upstream gets its key.
var upstreams = map[string]struct{ path, body, header, value string }{
	"OpenAI":                      {chatPath, chatBody("gpt-5-mini"), "Authorization", "Bearer the-key"},
	"Anthropic":                   {"/v1/messages", installClaude, "X-Api-Key", "the-key"},
	"Gemini":                      {"/v1beta/models/gemini-2.5-flash:generateContent", `{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}`, "X-Goog-Api-Key", "the-key"},
	"Azure OpenAI":                {"/openai/v1/chat/completions", chatBody("gpt-5-mini"), "Api-Key", "the-key"},
	"Bedrock, by a signing proxy": {"/model/anthropic.claude-sonnet-4-5-v1:0/converse", `{"messages":[{"role":"user","content":[{"text":"hello"}]}]}`, "Authorization", ""},
	"vLLM":                        {chatPath, chatBody("Qwen/Qwen2.5-7B-Instruct"), "Authorization", "Bearer the-key"},
	"Ollama":                      {chatPath, chatBody("llama3.2:1b"), "Authorization", ""},
	"Two providers in one site":   {"/v1/messages", installClaude, "X-Api-Key", "the-key"},
}

var (
	worked      = regexp.MustCompile("(?ms)^### ([^\n]*)\n\n```caddyfile\n(.*?)^```\n")
	upstreamURL = regexp.MustCompile(`(reverse_proxy (?:@\w+ )?)\S+ \{`)
	keyInEnv    = regexp.MustCompile(`\{env\.(\w+_API_KEY)\}`)
)

// Each Caddyfile of docs/install.md validates as it is, and meters a request to its
// upstream, which gets the operator's key and not the customer's.
func TestInstallCaddyfiles(t *testing.T) {
	t.Parallel()
	page, prices := read(t, "../docs/install.md"), ""
	for _, s := range samples(t, "../docs/install.md") {
		if s.language == "yaml" {
			prices = s.text
		}
	}
	found := 0
	for _, m := range worked.FindAllStringSubmatch(page, -1) {
		name, text := m[1], m[2]
		u, ok := upstreams[name]
		if !ok {
			t.Errorf("the Caddyfile for %s is not tried", name)
			continue
		}
		found++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := mockai.New(mockai.Options{Pace: -1})
			seen := make(chan http.Header, 10)
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen <- r.Header.Clone()
				if strings.HasPrefix(r.URL.Path, "/model/") {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(bedrockReply))
					return
				}
				mock.ServeHTTP(w, r)
			}))
			t.Cleanup(upstream.Close)
			edited := upstreamURL.ReplaceAllString(text, "${1}"+upstream.URL+" {")
			edited = keyInEnv.ReplaceAllString(edited, "the-key")
			edited = strings.Replace(edited, "{\n\tmeter {\n", "{\n\tadmin {$FAREBOX_ADMIN}\n\tmeter {\n\t\tstore badger {$FAREBOX_DATA}\n", 1)
			edited = strings.Replace(edited, "\nai.example.com {", "\nhttp://:{$FAREBOX_PORT} {", 1)
			g := start(t, setup{caddyfile: edited, prices: func(string) string { return prices }})
			g.validates(name, prices, text)
			key := g.account("acme", "100")
			a := g.post(key, u.path, u.body)
			if a.StatusCode != http.StatusOK || a.Header.Get("Credits-Cost") == "" || a.Header.Get("Credits-Cost") == "0" {
				t.Errorf("%d, cost %q: %s", a.StatusCode, a.Header.Get("Credits-Cost"), a.body)
			}
			select {
			case got := <-seen:
				if got.Get(u.header) != u.value {
					t.Errorf("the upstream gets %s %q, want %q", u.header, got.Get(u.header), u.value)
				}
				for h, values := range got {
					if strings.Contains(strings.Join(values, " "), key) {
						t.Errorf("the upstream gets the customer's key in %s", h)
					}
				}
			default:
				t.Error("the upstream got no request")
			}
		})
	}
	if found != len(upstreams) {
		t.Errorf("%d of %d Caddyfiles were found", found, len(upstreams))
	}
}
