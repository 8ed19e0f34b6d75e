package jsonscan

import (
	"strings"
	"testing"
)

// conversation is a long request: one long text, many short strings, or a text full of escapes.
func conversations() map[string][]byte {
	const size = 1 << 20
	short := `{"role":"user","content":"What is left in the hold?"},`
	return map[string][]byte{
		"long text": []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("All was quiet. ", size/15) + `"}]}`),
		"messages":  []byte(`{"model":"m","messages":[` + strings.Repeat(short, size/len(short)) + `{"role":"user","content":""}]}`),
		"escapes":   []byte(`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat(`a line\n`, size/8) + `"}]}`),
	}
}

func BenchmarkFind(b *testing.B) {
	p := NewPaths()
	p.Add([]string{"model"}, 0)
	for name, doc := range conversations() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				var values [1]Value
				if !p.Find(doc, values[:]) || values[0].Text != "m" {
					b.Fatal(values)
				}
			}
		})
	}
}
