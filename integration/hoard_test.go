package integration

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// hoard is an upstream that keeps things and shows them to its one caller, the
// gateway: it hands out the ids in given and answers everything else with what
// it was asked.
type hoard struct {
	mu    sync.Mutex
	given map[string]string // method and path → the answer
	seen  []string
}

func (h *hoard) serve(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		h.mu.Lock()
		h.seen = append(h.seen, r.Method+" "+r.URL.Path)
		answer := h.given[r.Method+" "+r.URL.Path]
		h.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(answer, "event:") || strings.HasPrefix(answer, "data:") {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		if location, ok := strings.CutPrefix(answer, "Location: "); ok {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusCreated)
			answer = "{}"
		}
		if answer == "" {
			answer = `{"object":"secret"}`
		}
		_, _ = io.WriteString(w, answer)
	})
}

// since is what the upstream has seen after the first n requests.
func (h *hoard) since(n int) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.seen[n:]...)
}

func (h *hoard) count() int { return len(h.since(0)) }

// hoardPrices lets everything pass: what has no price is free.
func hoardPrices(string) string {
	return `version: 1
credit: {name: credit, decimals: 3}
operations:
  chat: {match: [POST /v1/chat/completions, POST /v1/messages, POST /v1/responses], price: by_model}
  generate: {match: POST /v1beta/models/*, price: by_model}
  clip:
    match: POST /clips
    model: none
    price: 4
    job:
      id: response.body.task
      status: GET /clips/{id}/state
      failed_when: {response.body.status: failed}
models:
  "*": {per_1k_tokens: {input: 1, output: 8}, max_output_tokens: 16_000}
policies: {unpriced: free}
plans: {free: {credits: [{type: free, amount: 1_000_000}]}}
default_plan: free
`
}

// maker is a request that creates something, and where its owner reaches it.
type maker struct {
	name, path, body string
	answer           string
	at               string // the path of what was created
}

const usage = `"usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}`

var makers = []maker{
	{"response", "/v1/responses", `{"model":"m","input":"hi"}`, `{"id":"resp_A","object":"response","status":"completed","output":[{"id":"msg_A","type":"message","content":[]}],` + usage + `}`, "/v1/responses/resp_A"},
	{"response, streamed", "/v1/responses", `{"model":"m","input":"hi","stream":true}`, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_S\",\"status\":\"in_progress\"}}\n\n" +
		"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_S\",\"status\":\"completed\",\"output\":[]," + usage + "}}\n\n", "/v1/responses/resp_S"},
	{"chat completion", "/v1/chat/completions", `{"model":"m","messages":[],"store":true}`, `{"id":"chatcmpl-A","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}`, "/v1/chat/completions/chatcmpl-A"},
	{"conversation", "/v1/conversations", `{}`, `{"id":"conv_A","object":"conversation"}`, "/v1/conversations/conv_A"},
	{"file", "/v1/files", `bytes`, `{"id":"file-A","object":"file"}`, "/v1/files/file-A"},
	{"batch", "/v1/batches", `{"endpoint":"/v1/x"}`, `{"id":"batch_A","status":"completed","output_file_id":"file-out-A"}`, "/v1/batches/batch_A"},
	{"video", "/v1/videos", `{"prompt":"x"}`, `{"id":"video_A","status":"completed"}`, "/v1/videos/video_A"},
	{"thread", "/v1/threads", `{}`, `{"id":"thread_A"}`, "/v1/threads/thread_A"},
	{"vector store", "/v1/vector_stores", `{}`, `{"id":"vs_A"}`, "/v1/vector_stores/vs_A"},
	{"call", "/v1/realtime/calls", `v=0`, `Location: /v1/realtime/calls/rtc_A`, "/v1/realtime/calls/rtc_A"},
	{"batch of messages", "/v1/messages/batches", `{"requests":[]}`, `{"id":"msgbatch_A","processing_status":"ended"}`, "/v1/messages/batches/msgbatch_A"},
	{"Gemini file", "/upload/v1beta/files", `bytes`, `{"file":{"name":"files/gem-a","uri":"https://generativelanguage.googleapis.com/v1beta/files/gem-a"}}`, "/v1beta/files/gem-a"},
	{"cache", "/v1beta/cachedContents", `{"model":"models/m"}`, `{"name":"cachedContents/cache-a"}`, "/v1beta/cachedContents/cache-a"},
	{"operation", "/v1beta/models/veo:predictLongRunning", `{"instances":[]}`, `{"name":"models/veo/operations/op-a","done":true,"response":{}}`, "/v1beta/models/veo/operations/op-a"},
	{"Gemini batch", "/v1beta/models/m:batchGenerateContent", `{"batch":{}}`, `{"name":"batches/gb-a"}`, "/v1beta/batches/gb-a"},
	{"interaction", "/v1beta/interactions", `{"model":"m","input":"x"}`, `{"id":"int_A","status":"completed"}`, "/v1beta/interactions/int_A"},
	{"prediction", "/v1/models/o/n/predictions", `{"input":{}}`, `{"id":"pred_A","status":"succeeded"}`, "/v1/predictions/pred_A"},
	{"fal request", "/fal-ai/flux/dev", `{"prompt":"x"}`, `{"request_id":"fal_A","status":"COMPLETED"}`, "/fal-ai/flux/requests/fal_A"},
	{"clip of the price file", "/clips", `{}`, `{"task":"clip_A","status":"done"}`, "/clips/clip_A/state"},
}

func ownersGateway(t *testing.T, edit func(string) string) (g *gateway, h *hoard, a, b string) {
	h = &hoard{given: map[string]string{}}
	for _, m := range makers {
		h.given["POST "+m.path] = m.answer
	}
	caddyfile := read(t, "../Caddyfile")
	if edit != nil {
		if edited := edit(caddyfile); edited != caddyfile {
			caddyfile = edited
		} else {
			t.Fatal("the Caddyfile has another shape")
		}
	}
	g = start(t, setup{caddyfile: caddyfile, prices: hoardPrices, upstream: h.serve})
	return g, h, g.account("a", "1000"), g.account("b", "1000")
}

// make has account a create everything.
func (h *hoard) make(g *gateway, key string) {
	g.t.Helper()
	for _, m := range makers {
		if strings.Contains(m.body, `"stream":true`) != strings.HasPrefix(m.answer, "event:") {
			g.t.Fatal(m.name)
		}
		h.mu.Lock()
		h.given["POST "+m.path] = m.answer
		h.mu.Unlock()
		if a := g.post(key, m.path, m.body); a.StatusCode/100 != 2 {
			g.t.Fatalf("%s: %s %s", m.name, a.Status, a.body)
		}
	}
}
