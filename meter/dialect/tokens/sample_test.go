package tokens

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
)

// A very long text costs nearly the same as if all of it was counted, wherever its dense parts are.
func TestLongTextsAreSampled(t *testing.T) {
	code, err := os.ReadFile("text.go")
	if err != nil {
		t.Fatal(err)
	}
	const size = 3 << 20
	of := func(s string) []byte { return bytes.Repeat([]byte(s), size/len(s)+1)[:size] }
	prose, signs := of("The ferry left at dawn; fog delayed it by twenty minutes. "), of("!?;§{}=>")
	words := make([]byte, size)      // no two pieces are alike
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret
	for i := range words {
		words[i] = "etaoinshr \\n.1Z"[r.IntN(15)]
	}
	texts := map[string][]byte{
		"prose": prose, "code": of(string(code)), "one word": of("x"), "Japanese": of("霧のため船は二十分遅れた。"), "escapes": of(`a line\n\t`), "words": words,
		"dense at the start": append(signs[:size/8:size/8], prose[:size/2]...),
		"dense at the end":   append(prose[:size/2:size/2], signs[:size/8]...),
		"dense in places":    bytes.Repeat(append(prose[:60_000:60_000], signs[:5_000]...), 40),
	}
	for name, text := range texts {
		var all, sample, again Counter
		all.Write(text)
		sample.WriteText(text)
		again.WriteText(text)
		if off := 100 * (sample.cost - all.cost) / all.cost; off < -5 || off > 8 {
			t.Errorf("%s: %d tokens of a sample, %d of all: %d %%", name, sample.Tokens(), all.Tokens(), off)
		}
		if sample.cost != again.cost || sample.size != all.size {
			t.Errorf("%s: %+v, then %+v", name, sample, again)
		}
	}
}

// The pieces of a text are the same in every process: what was held can be explained and replayed elsewhere.
func TestSamplesAreTheSameInEveryProcess(t *testing.T) {
	text := make([]byte, 3<<20)
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // no secret
	for i := range text {
		text[i] = "etaoinshr \\n.1Z"[r.IntN(15)]
	}
	var sample Counter
	if sample.WriteText(text); sample.Tokens() != 1319467 {
		t.Errorf("%d tokens", sample.Tokens())
	}
}

// A text of a megabyte, which a model may read, is counted to its end.
func TestTextsThatModelsReadAreCounted(t *testing.T) {
	text := bytes.Repeat([]byte("All was quiet. "), sampledAbove/15)
	var all, whole Counter
	all.Write(text)
	if whole.WriteText(text); whole != all {
		t.Errorf("%+v, want %+v", whole, all)
	}
}

func BenchmarkLongText(b *testing.B) {
	text := bytes.Repeat([]byte("All was quiet. "), 20_000_000/15)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var t Counter
		t.WriteText(text)
	}
}
