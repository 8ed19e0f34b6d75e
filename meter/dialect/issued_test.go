package dialect

import (
	"testing"

	"github.com/farebox-dev/farebox/meter/dialect/resource"
)

func BenchmarkIssuedOfAnEvent(b *testing.B) {
	for _, tt := range []struct {
		path, doc string
		unstored  bool
	}{
		{"/v1/responses", `{"type":"response.output_text.delta","sequence_number":12,"item_id":"msg_68","output_index":0,"content_index":0,"delta":" words","logprobs":[],"obfuscation":"abc"}`, false},
		{"/v1/chat/completions", `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" words"},"finish_reason":null}]}`, true},
	} {
		b.Run(tt.path, func(b *testing.B) {
			api, doc := Detect("POST", tt.path, ""), []byte(tt.doc)
			b.ReportAllocs()
			for b.Loop() {
				if api.Issued(doc, resource.Request{Method: "POST", Path: tt.path, Unstored: tt.unstored}) != nil {
					b.Fatal("it gives an id")
				}
			}
		})
	}
}
