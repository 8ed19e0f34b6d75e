package integration

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/dialect"
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

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// An id belongs to the account that got it: another account reaches it by no
// method, no sub-path and no spelling, and learns nothing from the refusal.
func TestAnIDBelongsToTheAccountThatGotIt(t *testing.T) {
	t.Parallel()
	g, h, a, b := ownersGateway(t, nil)
	h.make(g, a)
	before := h.count()
	asked := 0
	for _, m := range makers {
		slash := strings.LastIndexByte(strings.TrimSuffix(m.at, "/state"), '/')
		upper := m.at[:slash] + strings.ToUpper(m.at[slash:])
		for _, path := range []string{
			m.at, m.at + "/", m.at + "/cancel", m.at + "/input_items", m.at + "/content", m.at + "?x=1", m.at + ".json", m.at + "%20", m.at + ";x", m.at + "%2Fcancel", m.at + "%00",
			m.at + ":cancel", m.at + "%3Fx", m.at + "%23", "/" + m.at, "/." + m.at, "/x/.." + m.at, m.at[:slash] + "/%" + fmt.Sprintf("%02x", m.at[slash+1]) + m.at[slash+2:],
			m.at[:slash] + ";x" + m.at[slash:], strings.Replace(m.at, "/v1", "/V1", 1), upper, m.at + "/../" + m.at[slash+1:],
		} {
			for _, method := range methods {
				got := g.send(method, path, `{}`, "Authorization", "Bearer "+b)
				asked++
				if got.StatusCode != http.StatusNotFound || method != "HEAD" && !strings.Contains(got.body, "_not_found") {
					t.Errorf("%s: %s %s: %s %s", m.name, method, path, got.Status, got.body)
				}
			}
		}
		// An id that nobody has got looks the same.
		unknown := g.send("GET", strings.Replace(m.at, "A", "unknown", 1)+"x", "", "Authorization", "Bearer "+b)
		theirs := g.send("GET", m.at, "", "Authorization", "Bearer "+b)
		if unknown.StatusCode != http.StatusNotFound || messageOf(unknown.body) != messageOf(theirs.body) {
			t.Errorf("%s: an unknown id: %s %s\nanother's: %s", m.name, unknown.Status, unknown.body, theirs.body)
		}
	}
	if seen := h.since(before); len(seen) > 0 {
		t.Errorf("of %d requests the upstream has seen %d: %q", asked, len(seen), seen[:min(len(seen), 10)])
	}
	for _, m := range makers {
		for _, method := range methods {
			if m.name == "operation" && method == "POST" { // would be a request to the model
				continue
			}
			if got := g.send(method, m.at, `{}`, "Authorization", "Bearer "+a); got.StatusCode/100 != 2 {
				t.Errorf("%s: its own account: %s: %s %s", m.name, method, got.Status, got.body)
			}
			if method == "DELETE" {
				continue
			}
			if got := g.send(method, m.at+"/cancel", `{}`, "Authorization", "Bearer "+a); got.StatusCode/100 != 2 {
				t.Errorf("%s: its own account: %s cancel: %s %s", m.name, method, got.Status, got.body)
			}
		}
	}
}

// messageOf is what a refusal says, whatever its shape.
func messageOf(body string) string {
	for _, path := range []string{"error.message", "detail"} {
		if v := gjson.Get(body, path); v.Exists() {
			return v.String()
		}
	}
	return body
}

// What a body or a query refers to is another account's, or it is not there.
func TestReferencesToWhatAnotherAccountHas(t *testing.T) {
	t.Parallel()
	g, h, a, b := ownersGateway(t, nil)
	h.make(g, a)
	h.mu.Lock()
	h.given["POST /v1/chat/completions"] = `{"id":"chatcmpl-B","choices":[{"message":{"audio":{"id":"audio_A"}}}],"usage":{"prompt_tokens":10,"completion_tokens":5}}`
	h.mu.Unlock()
	g.post(a, "/v1/chat/completions", `{"model":"m","messages":[]}`) // speech is kept, whatever is not
	const gemini = "/v1beta/models/gemini-x:generateContent"
	cases := []struct{ method, path, body string }{
		{"POST", "/v1/responses", `{"model":"m","input":"x","previous_response_id":"resp_A"}`},
		{"POST", "/v1/responses", `{"model":"m","input":"x","previous\u005fresponse_id":"resp\u005fA"}`},
		{"POST", "/v1/responses", `{"model":"m","input":"x","Previous_Response_ID":"resp_A"}`},
		{"POST", "/v1/responses", `{"model":"m","input":"x","previous_response_id":"resp_S"}`},
		{"POST", "/v1/responses", `{"model":"m","input":"x","conversation":"conv_A"}`},
		{"POST", "/v1/responses", `{"model":"m","input":"x","conversation":{"id":"conv_A"}}`},
		{"POST", "/v1/responses", `{"model":"m","input":[{"type":"item_reference","id":"msg_A"}]}`},
		{"POST", "/v1/responses", `{"model":"m","input":[{"id":"msg_A"}]}`},
		{"POST", "/v1/responses", `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_id":"file-A"}]}]}`},
		{"POST", "/v1/responses", `{"model":"m","input":"x","tools":[{"type":"file_search","vector_store_ids":["vs_A"]}]}`},
		{"POST", "/v1/responses", `{"model":"m","input":"x","tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-A"]}}]}`},
		{"POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-A"}}]}]}`},
		{"POST", "/v1/batches", `{"input_file_id":"file-A"}`},
		{"POST", "/v1/batches", `{"input_file_id":"file-out-A"}`},
		{"POST", "/v1/videos/edits", `{"video":{"id":"video_A"}}`},
		{"POST", "/v1/videos/video_A/remix", `{"prompt":"x"}`},
		{"POST", "/v1/threads/runs", `{"thread_id":"thread_A"}`},
		{"POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"assistant","audio":{"id":"audio_A"}}]}`},
		{"GET", "/v1/realtime?call_id=rtc_A", ``},
		{"GET", "/v1/realtime?c%61ll_id=rtc_A", ``},
		{"POST", "/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file-A"}}]}]}`},
		{"POST", "/v1/messages/count_tokens", `{"model":"m","messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file-A"}}]}]}`},
		{"POST", gemini, `{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/gem-a"}}]}]}`},
		{"POST", gemini, `{"contents":[{"parts":[{"file_data":{"file_uri":"files/gem-a"}}]}]}`},
		{"POST", gemini, `{"contents":[],"cachedContent":"cachedContents/cache-a"}`},
		{"POST", gemini, `{"contents":[],"cached_content":"cachedContents/cache-a"}`},
		{"POST", "/v1beta/interactions", `{"model":"m","input":"x","previous_interaction_id":"int_A"}`},
	}
	before := h.count()
	const boundary = "multipart/form-data; boundary=b"
	field := func(name string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\nfile-A\r\n--b--\r\n"
	}
	for _, tt := range []struct{ path, kind, body string }{
		{"/v1/threads", boundary, field("file_id")},
		{"/v1/threads", boundary, field("file_ids[]")},
		{"/v1/threads", boundary, strings.Replace(field("tools"), "file-A", `{"file_id":"file-A"}`, 1)},
		{"/v1/threads", "application/x-www-form-urlencoded", "a=1&file%5Fid=file-A"},
		{"/v1/threads", boundary, "\ufeff" + `{"file_id":"file-A"}`},
	} {
		for key, want := range map[string]int{b: http.StatusNotFound, a: http.StatusOK} {
			if got := g.post(key, tt.path, tt.body, "Content-Type", tt.kind); got.StatusCode != want {
				t.Errorf("%s %s: %s %s, want %d", tt.kind, tt.body, got.Status, got.body, want)
			}
		}
	}
	if got := g.post(b, "/v1/threads", "x"+field("file_id"), "Content-Type", boundary); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a form that can be read in two ways: %s", got.Status)
	}
	before += 5
	for _, tt := range cases {
		got := g.send(tt.method, tt.path, tt.body, "Authorization", "Bearer "+b)
		if got.StatusCode != http.StatusNotFound {
			t.Errorf("%s %s %s: %s %s", tt.method, tt.path, tt.body, got.Status, got.body)
		}
		if tt.body == "" || strings.Contains(tt.path, "remix") {
			continue
		}
		unknown := strings.NewReplacer("_A", "_unknown", "-A", "-unknown", "-a\"", "-unknown\"", "_S", "_unknown").Replace(tt.body)
		if u := g.send(tt.method, tt.path, unknown, "Authorization", "Bearer "+b); u.StatusCode != http.StatusNotFound || messageOf(u.body) != messageOf(got.body) {
			t.Errorf("%s %s: an unknown id: %s %s", tt.path, unknown, u.Status, u.body)
		}
	}
	if seen := h.since(before); len(seen) > 0 {
		t.Errorf("the upstream has seen %q", seen)
	}
	g.has("b", "1000")
	for _, tt := range cases {
		if got := g.send(tt.method, tt.path, tt.body, "Authorization", "Bearer "+a); got.StatusCode/100 != 2 {
			t.Errorf("its own account: %s %s %s: %s %s", tt.method, tt.path, tt.body, got.Status, got.body)
		}
	}
	// What clients and models make up is no reference.
	for _, tt := range []struct{ path, body string }{
		{"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{"file_id":"file-A","conversation":"resp_A"}}]}],"metadata":{"file_id":"file-A"}}`},
		{"/v1/responses", `{"model":"m","input":[{"type":"function_call","call_id":"rtc_A","id":"fc_1","name":"n","arguments":"{\"file_id\":\"file-A\"}"}],"metadata":{"conversation":"conv_A"}}`},
		{"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"file_id: file-A"}],"tools":[{"type":"function","function":{"name":"n","parameters":{"properties":{"file_id":{"enum":["file-A"]}}}}}]}`},
		{gemini, `{"contents":[{"parts":[{"functionCall":{"name":"n","args":{"file_uri":"files/gem-a"}}},{"fileData":{"fileUri":"gs://bucket/files/x"}}]}]}`},
	} {
		if got := g.post(b, tt.path, tt.body); got.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %s %s", tt.path, tt.body, got.Status, got.body)
		}
	}
}

// A list would show what other accounts have stored.
func TestListsAcrossAccounts(t *testing.T) {
	t.Parallel()
	g, h, a, _ := ownersGateway(t, nil)
	before := h.count()
	for _, path := range []string{"/v1/files", "/v1/files/", "/v1/files?limit=1", "/v1/batches", "/v1/responses", "/v1/chat/completions", "/v1/videos", "/v1/messages/batches", "/v1beta/files", "/v1beta/cachedContents", "/v1/predictions", "/v1/Files"} {
		for _, method := range []string{"GET", "HEAD", "DELETE"} {
			got := g.send(method, path, "", "Authorization", "Bearer "+a)
			if got.StatusCode != http.StatusForbidden || method == "GET" && !strings.Contains(got.body, "list_refused") {
				t.Errorf("%s %s: %s %s", method, path, got.Status, got.body)
			}
		}
	}
	if seen := h.since(before); len(seen) > 0 {
		t.Errorf("the upstream has seen %q", seen)
	}
}

// Ownership outlives the process; what was deleted is nobody's any more.
func TestOwnersSurviveRestarts(t *testing.T) {
	t.Parallel()
	g, h, a, b := ownersGateway(t, nil)
	h.make(g, a)
	g.kill()
	g.run()
	for _, m := range makers {
		if got := g.send("GET", m.at, "", "Authorization", "Bearer "+a); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", m.name, got.Status, got.body)
		}
		if got := g.send("GET", m.at, "", "Authorization", "Bearer "+b); got.StatusCode != http.StatusNotFound {
			t.Errorf("%s: another account: %s", m.name, got.Status)
		}
	}
	if got := g.send("DELETE", "/v1/files/file-A", "", "Authorization", "Bearer "+a); got.StatusCode != http.StatusOK {
		t.Errorf("%s %s", got.Status, got.body)
	}
	g.eventually("the file is forgotten", func() bool {
		return g.send("GET", "/v1/files/file-A", "", "Authorization", "Bearer "+a).StatusCode == http.StatusNotFound
	})
}

// Ids from before there was a gateway pass where the operator says so; those of
// other accounts do not, in no spelling.
func TestUnknownIDsPassWhereTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	for _, kinds := range []string{"", " files responses clip"} {
		g, h, a, b := ownersGateway(t, func(c string) string {
			return strings.Replace(c, "\tmeter\n\n", "\tmeter {\n\t\tunknown_ids pass"+kinds+"\n\t}\n\n", 1)
		})
		h.make(g, a)
		for _, path := range []string{"/v1/files/file-old", "/v1/responses/resp_old/cancel", "/clips/clip_old/state"} {
			if got := g.send("GET", path, "", "Authorization", "Bearer "+b); got.StatusCode != http.StatusOK {
				t.Errorf("%s: %s %s", path, got.Status, got.body)
			}
		}
		if got := g.post(b, "/v1/responses", `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_id":"file-old"}]}],"previous_response_id":"resp_old"}`); got.StatusCode != http.StatusOK {
			t.Errorf("%s %s", got.Status, got.body)
		}
		if got := g.send("GET", "/v1/threads/thread_old", "", "Authorization", "Bearer "+b); (got.StatusCode == http.StatusOK) != (kinds == "") {
			t.Errorf("pass%s: a thread: %s %s", kinds, got.Status, got.body)
		}
		before := h.count()
		for _, m := range makers {
			for _, tail := range []string{"", ".json", "%20", ";x", "/cancel", "%2Fcancel", "%00"} {
				if got := g.send("GET", m.at+tail, "", "Authorization", "Bearer "+b); got.StatusCode != http.StatusNotFound {
					t.Errorf("%s%s: %s", m.at, tail, got.Status)
				}
			}
		}
		if got := g.send("GET", "/v1/files", "", "Authorization", "Bearer "+b); got.StatusCode != http.StatusForbidden {
			t.Errorf("a list: %s", got.Status)
		}
		if seen := h.since(before); len(seen) > 0 {
			t.Errorf("the upstream has seen %q", seen)
		}
	}
	docs := read(t, "../docs/caddyfile.md")
	for _, k := range dialect.StoredKinds() {
		if !strings.Contains(docs, "`"+k+"`") {
			t.Errorf("docs/caddyfile.md does not name the kind %s", k)
		}
	}
}
