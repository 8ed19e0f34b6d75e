package dialect

import "testing"

// Operations say how many videos they made, each of Google's APIs at a place of its own.
func TestVideosOfGoogleOperations(t *testing.T) {
	const path = "/v1/projects/p/locations/l/publishers/google/models/veo-4/operations/op1"
	for name, response := range map[string]string{
		"Gemini": `{"generateVideoResponse":{"generatedSamples":[{"video":{"uri":"a"}},{"video":{"uri":"b"}}]}}`,
		"Vertex": `{"videos":[{"gcsUri":"gs://a","mimeType":"video/mp4"},{"gcsUri":"gs://b","mimeType":"video/mp4"}]}`,
	} {
		r := Detect("GET", path, "").NewReader(200, map[string][]string{"Content-Type": {"application/json"}}, ReaderOptions{})
		r.Write([]byte(`{"name":"projects/p/operations/op1","done":true,"response":` + response + `}`))
		r.Close()
		if got := r.Result().Usage.Units.Videos; got.N != 2 {
			t.Errorf("%s: %d videos, want 2", name, got.N)
		}
	}
}

// A part that may exceed the input is reported in addition to it.
func TestPartsBesideTheInput(t *testing.T) {
	for _, c := range []struct {
		path, usage string
		input       int64
	}{
		{"/v2/embed", `{"meta":{"billed_units":{"input_tokens":7,"image_tokens":1000}}}`, 1007},
		{"/v2/embed", `{"meta":{"billed_units":{"image_tokens":1000}}}`, 1000},
		{"/v2/embed", `{"meta":{"billed_units":{"input_tokens":7}}}`, 7},
		{"/v1/conversations", `{"outputs":[],"usage":{"prompt_tokens":95,"completion_tokens":209,"total_tokens":399,"connector_tokens":95}}`, 190},
		{"/v1/conversations/conv_1", `{"outputs":[],"usage":{"prompt_tokens":8,"completion_tokens":370,"total_tokens":378,"connector_tokens":null}}`, 8},
	} {
		r := Detect("POST", c.path, "").NewReader(200, map[string][]string{"Content-Type": {"application/json"}}, ReaderOptions{})
		r.Write([]byte(c.usage))
		r.Close()
		if got := r.Result(); got.Usage.InputTotal.N != c.input || got.Status != StatusComplete {
			t.Errorf("%s: input %d, want %d (%s)", c.usage, got.Usage.InputTotal.N, c.input, got.Status)
		}
	}
}
