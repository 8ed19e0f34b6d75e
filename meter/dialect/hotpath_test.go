//go:build !race

package dialect

import (
	"os"
	"testing"

	"github.com/farebox-dev/farebox/internal/allocations"
)

// hotPaths are what is read of each request, and of each answer.
func hotPaths(t testing.TB) []allocations.Path {
	t.Helper()
	var list []allocations.Path
	for _, c := range []struct{ name, path, example string }{
		{"chat", "/v1/chat/completions", "openai-chat"},
		{"responses", "/v1/responses", "openai-responses"},
		{"messages", "/v1/messages", "anthropic-messages"},
		{"generate", "/v1beta/models/gemini-3-flash:generateContent", "gemini-generate"},
	} {
		file := func(name string) []byte {
			data, err := os.ReadFile("../../testdata/wire/" + name)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		api := Detect("POST", c.path, "")
		request, answer := file(c.example+".request.json"), file(c.example+".response.json")
		list = append(list,
			allocations.Path{Name: "request of " + c.name, Run: func() { api.ReadRequest(JSONBody(request)) }},
			allocations.Path{Name: "input estimate of " + c.name, Run: func() { api.EstimateInput(JSONBody(request)) }},
			allocations.Path{Name: "answer of " + c.name, Run: func() { readAnswer(t, api, jsonHeader, answer) }},
		)
		if stream, err := os.ReadFile("../../testdata/wire/" + c.example + "-stream.response.sse"); err == nil {
			list = append(list, allocations.Path{Name: "stream of " + c.name, Run: func() { readAnswer(t, api, sseHeader, stream) }})
		}
	}
	return list
}

func readAnswer(t testing.TB, api *API, header map[string][]string, data []byte) {
	t.Helper()
	r := api.NewReader(200, header, ReaderOptions{})
	r.Write(data)
	r.Close()
	if r.Result().Usage.OutputTotal.N == 0 {
		t.Fatal("no usage was read")
	}
}

func TestAllocationsOfHotPaths(t *testing.T) { allocations.Check(t, "dialect", hotPaths(t)) }

func BenchmarkHotPaths(b *testing.B) { allocations.Bench(b, hotPaths(b)) }
