package dialect

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// Count is a number an upstream may or may not have reported. Absent is not zero.
type Count struct {
	N  int64
	OK bool
}

// Usage is what an answer used, on one inclusive contract for all APIs: InputTotal covers everything the model read,
// OutputTotal everything it generated; the other token counts are subsets of these two. (The same contract as Envoy's
// api/envoy/data/ai/v3/token_usage.proto.)
type Usage struct {
	InputTotal    Count
	CacheRead     Count
	CacheWrite    Count // all cache writes; 5m and 1h are its parts where reported
	CacheWrite5m  Count
	CacheWrite1h  Count
	ToolUse       Count
	TextIn        Count
	AudioIn       Count
	ImageIn       Count
	VideoIn       Count
	CachedAudioIn Count

	OutputTotal Count
	Reasoning   Count
	AudioOut    Count
	ImageOut    Count
	VideoOut    Count
	Citation    Count // Perplexity; not part of OutputTotal

	Requests Requests
	Units    Units
	// CostUSD is the cost the upstream reports, as a decimal ("0.0042"), "" if it does not.
	CostUSD string
}

// Requests counts what providers bill per call.
type Requests struct{ WebSearch, WebFetch, Search, Sources Count }

// Units counts what is not measured in tokens. Millis are milliseconds of audio, video or compute.
type Units struct{ Images, Videos, Millis, Pages, Characters, SearchUnits Count }

// Token is a disjoint part of a usage, by the name that price files use.
type Token struct {
	Kind string
	N    int64
}

// Disjoint splits the totals into parts that do not overlap, so that each can be priced once. Kinds with no tokens are left
// out. Parts that exceed their total (an inconsistent upstream) leave nothing over, never a negative rest.
func (u Usage) Disjoint() []Token {
	write5m, write1h := u.CacheWrite5m.N, u.CacheWrite1h.N
	write5m = max(write5m, u.CacheWrite.N-write1h)
	audioIn := max(u.AudioIn.N-u.CachedAudioIn.N, 0)
	cached := max(u.CacheRead.N-u.CachedAudioIn.N, 0)
	in := u.InputTotal.N - cached - u.CachedAudioIn.N - write5m - write1h - audioIn - u.ImageIn.N - u.VideoIn.N
	out := u.OutputTotal.N - u.Reasoning.N - u.AudioOut.N - u.ImageOut.N - u.VideoOut.N
	all := [...]Token{
		{"input", in},
		{"cached_input", cached},
		{"cache_write", write5m},
		{"cache_write_1h", write1h},
		{"audio_input", audioIn},
		{"image_input", u.ImageIn.N},
		{"video_input", u.VideoIn.N},
		{"cached_audio_input", u.CachedAudioIn.N},
		{"output", out},
		{"reasoning", u.Reasoning.N},
		{"audio_output", u.AudioOut.N},
		{"image_output", u.ImageOut.N},
		{"video_output", u.VideoOut.N},
		{"citation", u.Citation.N},
	}
	parts := make([]Token, 0, 4)
	for _, t := range all {
		if t.N > 0 {
			parts = append(parts, t)
		}
	}
	return parts
}

// count names a number as the upstream reports it, before the API's conventions are applied.
type count uint8

const (
	cInput count = iota
	cOutput
	cTotal
	cCacheRead
	cCacheWrite
	cCacheWrite5m
	cCacheWrite1h
	cToolUse
	cTextIn
	cAudioIn
	cImageIn
	cVideoIn
	cCachedAudioIn
	cReasoning
	cAudioOut
	cImageOut
	cVideoOut
	cCitation
	cWebSearch
	cWebFetch
	cSearch
	cSources
	cImages
	cVideos
	cMillis
	cPages
	cCharacters
	cSearchUnits
	numCounts
)

// place is where a usage object may be. base is the prefix of the answer object around it ("response." in a Responses event).
type place struct {
	path   string  // plain names with dots; "" is the answer object itself
	base   string  // where model, service_tier and items are, with trailing dot
	mark   string  // the bytes that must occur in an event before it is parsed for this place
	except []count // counts that mean nothing here (output_tokens of Anthropic's message_start is a placeholder)
	kind   string  // only in events of this type
	apart  bool    // another model's, beside the answer's own
}

// field maps a gjson path inside a usage object to a count. Later fields overwrite earlier ones if present.
type field struct {
	path string
	to   count
}

// fixedCount counts by a gjson path on the whole answer: data.# images, web_search_call items.
type fixedCount struct {
	mark string // the bytes that must occur before the path is evaluated
	path string
	to   count
}

type headerField struct {
	name string
	to   count
}

// outputRule says how the output total follows from the reported counts (wire.md §0.3).
type outputRule uint8

const (
	outputMax   outputRule = iota // max(output, total − input): right whether reasoning is reported inside or outside
	outputRest                    // total − input − tool use (Gemini)
	outputAdded                   // output + reasoning (Gemini Interactions)
	outputAsIs                    // output
	outputOmits                   // output; a count of 0 is left out (Ollama)
	outputZero                    // embeddings, rerank: everything is input
)

// counts are the numbers of one answer as reported.
type counts struct {
	c    [numCounts]Count
	cost string
	bad  bool // an upstream reported nonsense: nothing of it is believed
}

// read takes the fields of a usage object. It reports whether any was present.
func (c *counts) read(usage []byte, fields []field, except []count) (any bool) {
	for _, f := range fields {
		var raw []byte
		if strings.Contains(f.path, "#") {
			raw = []byte(gjson.GetBytes(usage, f.path).Raw)
		} else {
			raw = lookup(usage, f.path)
		}
		if isNull(raw) || slices.Contains(except, f.to) {
			continue
		}
		scale := int64(1)
		if f.to == cMillis {
			scale = 1000
		}
		n, ok := looseNumber(raw, scale)
		if !ok || n < 0 {
			c.bad = c.bad || f.to <= cTotal // a detail that is no number is no detail
			continue
		}
		c.c[f.to] = Count{n, true}
		any = true
	}
	return any
}

// usage applies the API's conventions to the reported counts.
func (p *profile) usageOf(c *counts) Usage {
	if c.bad {
		return Usage{}
	}
	g := func(k count) Count { return c.c[k] }
	u := Usage{
		InputTotal: g(cInput), CacheRead: g(cCacheRead), CacheWrite: g(cCacheWrite), CacheWrite5m: g(cCacheWrite5m), CacheWrite1h: g(cCacheWrite1h),
		ToolUse: g(cToolUse), TextIn: g(cTextIn), AudioIn: g(cAudioIn), ImageIn: g(cImageIn), VideoIn: g(cVideoIn), CachedAudioIn: g(cCachedAudioIn),
		OutputTotal: g(cOutput), Reasoning: g(cReasoning), AudioOut: g(cAudioOut), ImageOut: g(cImageOut), VideoOut: g(cVideoOut), Citation: g(cCitation),
		Requests: Requests{g(cWebSearch), g(cWebFetch), g(cSearch), g(cSources)},
		Units:    Units{g(cImages), g(cVideos), g(cMillis), g(cPages), g(cCharacters), g(cSearchUnits)},
		CostUSD:  c.cost,
	}
	if split := u.CacheWrite5m.N + u.CacheWrite1h.N; split > u.CacheWrite.N {
		u.CacheWrite = Count{split, true}
	}
	if p.exclusive && u.InputTotal.OK {
		u.InputTotal.N += u.CacheRead.N + u.CacheWrite.N
	}
	total := g(cTotal)
	switch p.output {
	case outputMax:
		if total.OK && u.InputTotal.OK {
			u.OutputTotal = Count{max(u.OutputTotal.N, total.N-u.InputTotal.N), true}
		}
	case outputRest:
		switch {
		case total.OK && u.InputTotal.OK:
			u.OutputTotal = Count{max(total.N-u.InputTotal.N-u.ToolUse.N, 0), true}
		case u.OutputTotal.OK:
			u.OutputTotal.N += u.Reasoning.N
		}
		u.InputTotal.N += u.ToolUse.N
	case outputAdded:
		if u.OutputTotal.OK {
			u.OutputTotal.N += u.Reasoning.N
		}
		if u.InputTotal.OK {
			u.InputTotal.N += u.ToolUse.N
		}
	case outputZero:
		if !u.InputTotal.OK {
			u.InputTotal = total
		}
		if u.InputTotal.OK {
			u.OutputTotal = Count{0, true}
		}
	case outputOmits:
		if u.InputTotal.OK || u.OutputTotal.OK {
			u.InputTotal.OK, u.OutputTotal.OK = true, true
		}
	case outputAsIs:
	}
	return u
}

// readCost takes the cost that some upstreams report: OpenRouter as a number, Perplexity as an object, xAI in ticks of 1e-10 USD.
func (c *counts) readCost(usage []byte) {
	cost := lookup(usage, "cost")
	if len(cost) > 0 && cost[0] == '{' {
		cost = lookup(cost, "total_cost")
	}
	if len(cost) > 0 && cost[0] >= '0' && cost[0] <= '9' && len(cost) <= 32 {
		c.cost = string(cost)
	}
	ticks := lookup(usage, "cost_in_usd_ticks")
	if n, ok := parseNumber(ticks, 1); ok && n > 0 && len(ticks) <= 32 {
		digits := string(ticks)
		if len(digits) <= 10 {
			digits = strings.Repeat("0", 11-len(digits)) + digits
		}
		whole, fraction := digits[:len(digits)-10], strings.TrimRight(digits[len(digits)-10:], "0")
		c.cost = strings.TrimSuffix(whole+"."+fraction, ".")
	}
}
