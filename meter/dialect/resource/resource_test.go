package resource

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestInPath(t *testing.T) {
	for _, tt := range []struct{ path, want string }{
		{"/v1/responses/resp_1", "/responses resp_1"},
		{"/proxy/openai/v1/responses/resp_1/input_items", "/responses resp_1"},
		{"/openai/responses/resp_1", "/responses resp_1"},
		{"/V1/Responses/resp_1", "/responses resp_1"},
		{"/v1/responses", ""},
		{"/v1/responses/compact", ""},
		{"/v1/chat/completions/chatcmpl-1/messages", "/chat/completions chatcmpl-1"},
		{"/v1/messages/batches/b_1/results", "/batches b_1"},
		{"/v1/threads/thread_1/runs/run_1", "/threads thread_1"},
		{"/v1/threads/runs", ""},
		{"/v1/videos/edits", ""},
		{"/v1beta/files/abc:download", "/files abc"},
		{"/upload/v1beta/files", ""},
		{"/v1/projects/p/locations/l/cachedContents/1", "/cachedContents 1"},
		{"/v1beta/models/m/operations/o", "/operations o"},
		{"/v1/projects/p/locations/l/publishers/google/models/m/operations/o", "/operations o"},
		{"/v1/models/o/n/predictions", ""},
		{"/v1/predictions/p/cancel", "/predictions p"},
		{"/fal-ai/flux/requests/r/status", "/requests r"},
		{"/v1/requests/r", ""},         // not fal's
		{"/api/files/readme.txt", ""},  // no version: another API
		{"/v1/embeddings/files/x", ""}, // not a collection's place
		{"/", ""},
	} {
		var got []string
		for _, s := range InPath(tt.path).IDs {
			got = append(got, s.Kind+" "+s.ID)
		}
		if strings.Join(got, ",") != tt.want {
			t.Errorf("%s: %q, want %q", tt.path, got, tt.want)
		}
	}
}

// A reference is found wherever it is in a document, however its name and its
// value are written, and whatever else is there.
func TestReferencesAreFoundAnywhere(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"previous_response_id", "file_id", "cachedContent", "vector_store_ids", "thread_id"}
	for range 20_000 {
		name := names[rnd.IntN(len(names))]
		id := fmt.Sprintf("id_%d", rnd.IntN(1000))
		doc := oddly(rnd, name) + `:` + oddly(rnd, id)
		if name == "vector_store_ids" {
			doc = oddly(rnd, name) + `: [` + oddly(rnd, "other") + `,` + oddly(rnd, id) + `]`
		}
		doc = "{" + noise(rnd, 2) + doc + "}"
		for range rnd.IntN(6) {
			switch rnd.IntN(3) {
			case 0:
				doc = "[" + doc + ", 1]"
			case 1:
				doc = "[null, " + doc + "]"
			default:
				doc = "{" + noise(rnd, 2) + `"tools":` + doc + `, "x":"y"}`
			}
		}
		if !json.Valid([]byte(doc)) {
			t.Fatalf("the test writes no JSON: %s", doc)
		}
		if !slices.ContainsFunc(InBody([]byte(doc)), func(s Ref) bool { return s.ID == id }) {
			t.Fatalf("%s is not found in %s", id, doc)
		}
	}
}

// oddly writes a string with some of its letters as escapes, and names in other letters.
func oddly(rnd *rand.Rand, s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		if rnd.IntN(4) == 0 {
			fmt.Fprintf(&b, `\u%04x`, c)
		} else {
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// noise are members that name nothing.
func noise(rnd *rand.Rand, most int) string {
	all := []string{`"a":{"b":[{"c":"}"}]},`, `"metadata":{"file_id":"not this"},`, `"s":"\"file_id\":\"x\"",`, `"n":-1.5e3,"t":true,`, `"input":[{"role":"user","content":"[{"}],`, `"":{"":""},`}
	var s strings.Builder
	for range rnd.IntN(most + 1) {
		s.WriteString(all[rnd.IntN(len(all))])
	}
	return s.String()
}

// All that an answer can give passes the quick look at its documents.
func TestNoIDIsOverlooked(t *testing.T) {
	for _, g := range issues {
		for _, unstored := range []bool{false, true} {
			if unstored && (g.kind == kindItems || strings.Contains(g.mark, "image_file") || g.mark == `"vector_store_ids"`) {
				continue // there is none where nothing is kept
			}
			leaf := g.path[strings.LastIndexByte(g.path, '.')+1:]
			doc := fmt.Sprintf(`{%s:1,%q:1}`, g.mark, leaf)
			if !MayIssue([]byte(doc), unstored) {
				t.Errorf("%s, unstored %v: %s", g.path, unstored, doc)
			}
		}
	}
}

func TestReferencesAreNotMadeUp(t *testing.T) {
	for _, body := range []string{
		`{"metadata":{"file_id":"x"},"tools":[{"input_schema":{"properties":{"file_id":{"default":"x"}}}}]}`,
		`{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","input":{"file_id":"x","thread_id":"y"}}]}]}`,
		`{"messages":[{"role":"user","content":"{\"file_id\":\"x\"}"}]}`,
		`{"input":[{"type":"message","id":"msg_1","role":"user","content":[]},{"type":"reasoning","id":"rs_1"}]}`,
		`{"contents":[{"parts":[{"fileData":{"fileUri":"https://www.youtube.com/watch?v=files"}},{"fileData":{"fileUri":"gs://b/files/x"}}]}]}`,
		`{"audio":{"voice":"alloy"},"container":{"type":"auto"},"conversation":null,"file_id":null,"skills":[{"skill_id":"pptx"}]}`,
		`{"file_id":`, `"file_id"`, `[[[[`, `{"a`, ``,
	} {
		if got := InBody([]byte(body)); len(got) > 0 {
			t.Errorf("%s: %v", body, got)
		}
	}
}

func FuzzInBody(f *testing.F) {
	f.Add([]byte(`{"file_id":"x","input":[{"id":"y"}]}`))
	f.Add([]byte(`]}{"a":`))
	f.Fuzz(func(_ *testing.T, body []byte) { InBody(body) })
}

func BenchmarkInBody(b *testing.B) {
	var turns []string
	for i := range 200 {
		turns = append(turns, fmt.Sprintf(`{"role":"user","content":[{"type":"text","text":"turn %d %s"}]}`, i, strings.Repeat("words ", 50)))
	}
	body := []byte(`{"model":"m","messages":[` + strings.Join(turns, ",") + `]}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		InBody(body)
	}
}

func BenchmarkInPath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		InPath("/v1/chat/completions")
	}
}

// The walk's memory is used again; what one body names must not be found in another,
// even in one that is cut off.
func TestBodiesNameNothingOfEachOther(t *testing.T) {
	var wg sync.WaitGroup
	for client := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				id := fmt.Sprintf("file-%d-%d", client, i)
				deep := i % 90
				body := strings.Repeat(`{"a":[`, deep) + `{"file_id":"` + id + `"}` + strings.Repeat(`]}`, deep*(i%2))
				if got := InBody([]byte(body)); len(got) != 1 || got[0].ID != id {
					t.Errorf("%s: %+v", body, got)
					return
				}
				if got := InBody([]byte(`{"messages":[{"content":"` + id)); len(got) != 0 {
					t.Errorf("a body that names nothing: %+v", got)
					return
				}
			}
		})
	}
	wg.Wait()
}
