package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/dialect/resource"
)

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
		// An unknown id looks the same.
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
	g, h, a, b := ownersGateway(t, func(c string) string {
		return strings.Replace(c, "\tmeter\n\n", "\tmeter {\n\t\tunknown_ids reject\n\t}\n\n", 1)
	})
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
	} {
		for key, want := range map[string]int{b: http.StatusNotFound, a: http.StatusOK} {
			if got := g.post(key, tt.path, tt.body, "Content-Type", tt.kind); got.StatusCode != want {
				t.Errorf("%s %s: %s %s, want %d", tt.kind, tt.body, got.Status, got.body, want)
			}
		}
	}
	for kind, body := range map[string]string{boundary: "x" + field("file_id"), boundary + " ": "\ufeff" + `{"file_id":"file-A"}`, "application/json": "\ufeff" + `{"file_id":"file-A"}`, "text/plain": `{"file_id":"file-A","x":NaN}`} {
		if got := g.post(b, "/v1/threads", body, "Content-Type", kind); got.StatusCode != http.StatusBadRequest && got.StatusCode != http.StatusNotFound {
			t.Errorf("a body that can be read in two ways, %s %q: %s", kind, body, got.Status)
		}
	}
	before += 4
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

// Ownership survives restarts; a deleted object has no owner.
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

// By default an unknown id passes in a body or a query, and never in a path.
func TestUnknownReferencesPass(t *testing.T) {
	t.Parallel()
	g, _, _, b := ownersGateway(t, nil)
	for body, path := range map[string]string{
		`{"model":"m","input":"x","previous_response_id":"resp_unknown"}`:                                                     "/v1/responses",
		`{"model":"m","input":"x","tools":[{"type":"file_search","vector_store_ids":["vs_of_the_operator"]}]}`:                "/v1/responses",
		`{"contents":[],"cachedContent":"cachedContents/of-the-operator"}`:                                                    "/v1beta/models/gemini-x:generateContent",
		`{"contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/theirs"}}]}]}`: "/v1beta/models/gemini-x:generateContent",
	} {
		if got := g.post(b, path, body); got.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %s %s", path, body, got.Status, got.body)
		}
	}
	if got := g.send("GET", "/v1/responses/resp_unknown", "", "Authorization", "Bearer "+b); got.StatusCode != http.StatusNotFound {
		t.Errorf("%s %s", got.Status, got.body)
	}
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
	for _, k := range resource.Kinds() {
		if !strings.Contains(docs, "`"+k+"`") {
			t.Errorf("docs/caddyfile.md does not name the kind %s", k)
		}
	}
}
