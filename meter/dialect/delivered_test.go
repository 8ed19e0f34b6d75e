package dialect

import (
	"net/http"
	"testing"
)

// Delivered is asked for every chunk of a stream, so it must cost next to nothing.
func BenchmarkDelivered(b *testing.B) {
	r := Detect("POST", "/v1/chat/completions", "").NewReader(200, http.Header{"Content-Type": {"text/event-stream"}}, ReaderOptions{})
	for range 200 {
		r.Write([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"some words of an answer \"}}]}\n\n"))
	}
	b.Run("Result", func(b *testing.B) {
		for b.Loop() {
			_ = r.Result()
		}
	})
	b.Run("Delivered", func(b *testing.B) {
		for b.Loop() {
			_ = r.Delivered()
		}
	})
	if r.Delivered() < 200 || r.Delivered() != r.Result().DeliveredTokens {
		b.Errorf("delivered %d, the result says %d", r.Delivered(), r.Result().DeliveredTokens)
	}
}
