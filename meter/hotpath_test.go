//go:build !race

package meter

import (
	"context"
	"testing"

	"github.com/farebox-dev/farebox/internal/allocations"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// hotPaths are metered requests from pricing to settling, without HTTP and without
// a disk.
func hotPaths(t testing.TB) []allocations.Path {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte(benchPrices))
	if book == nil {
		t.Fatal(problems)
	}
	m, err := Open(context.Background(), Options{Store: memory.New(), Book: book})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	delta := []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":" fog"},"finish_reason":null}]}` + "\n\n")
	end := []byte(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-5-mini","choices":[],"usage":{"prompt_tokens":25,"completion_tokens":20,"total_tokens":45}}` + "\n\ndata: [DONE]\n\n")
	return []allocations.Path{
		{Name: "a chat request", Run: func() {
			if err := charge(m, benchRequest, "application/json", benchAnswer); err != nil {
				t.Fatal(err)
			}
		}},
		{Name: "a stream of 100 events", Run: func() {
			var pieces [][]byte
			for range 100 {
				pieces = append(pieces, delta)
			}
			if err := charge(m, benchStreamRequest, "text/event-stream", append(pieces, end)...); err != nil {
				t.Fatal(err)
			}
		}},
	}
}

func TestAllocationsOfHotPaths(t *testing.T) { allocations.Check(t, "meter", hotPaths(t)) }

func BenchmarkHotPaths(b *testing.B) { allocations.Bench(b, hotPaths(b)) }
