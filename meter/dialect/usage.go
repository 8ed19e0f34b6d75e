package dialect

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
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
	InputTotal   Count
	CacheRead    Count
	CacheWrite   Count // all cache writes; 5m and 1h are its parts where reported
	CacheWrite5m Count
	CacheWrite1h Count
	ToolUse      Count
	TextIn       Count
	AudioIn      Count
	ImageIn      Count
	VideoIn      Count
	// What of CacheRead is text, audio, pictures or video, where that is reported.
	CachedTextIn, CachedAudioIn, CachedImageIn, CachedVideoIn Count

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
	cCachedTextIn
	cCachedAudioIn
	cCachedImageIn
	cCachedVideoIn
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

// counts are the numbers of one answer as reported.
type counts struct {
	c    [numCounts]Count
	cost string
	bad  bool // an upstream reported nonsense: nothing of it is believed
}

// merge takes the counts of a later event. A zero never replaces a positive count of the same answer: servers repeat counters
// they have already reported as 0.
func (c *counts) merge(later *counts) {
	for i, n := range later.c {
		if n.OK && (n.N > 0 || !c.c[i].OK) {
			c.c[i] = n
		}
	}
	if later.cost != "" {
		c.cost = later.cost
	}
	c.bad = c.bad || later.bad
}

// read takes the fields of one usage object. It reports whether any was present.
func (c *counts) read(usage []byte, fields []field, except []count) (any bool) {
	for _, f := range fields {
		var raw []byte
		if strings.Contains(f.path, "#") {
			raw = []byte(gjson.GetBytes(usage, f.path).Raw)
		} else {
			raw = jsonscan.Get(usage, f.path)
		}
		if jsonscan.IsNull(raw) || slices.Contains(except, f.to) {
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
		c.c[f.to] = Count{max(n, c.c[f.to].N), true}
		any = true
	}
	return any
}

// readCost takes the cost that some upstreams report: OpenRouter as a number, Perplexity as an object, xAI in ticks of 1e-10 USD.
func (c *counts) readCost(usage []byte) {
	cost := jsonscan.Get(usage, "cost")
	if len(cost) > 0 && cost[0] == '{' {
		cost = jsonscan.Get(cost, "total_cost")
	}
	if len(cost) > 0 && cost[0] >= '0' && cost[0] <= '9' && len(cost) <= 32 {
		c.cost = string(cost)
	}
	ticks := jsonscan.Get(usage, "cost_in_usd_ticks")
	if n, ok := parseNumber(ticks, 1); ok && n > 0 && len(ticks) <= 32 {
		digits := string(ticks)
		if len(digits) <= 10 {
			digits = strings.Repeat("0", 11-len(digits)) + digits
		}
		whole, fraction := digits[:len(digits)-10], strings.TrimRight(digits[len(digits)-10:], "0")
		c.cost = strings.TrimSuffix(whole+"."+fraction, ".")
	}
}

// maxCount is the largest count that is believed. No answer has a trillion tokens; more is an upstream's error and would overflow
// in a multiplication.
const maxCount = 1 << 40

// parseNumber reads a JSON number as an integer multiple of 1/scale, rounded up. Cohere sends counts as 12.0, Python clients send
// limits as 1e4.
func parseNumber(raw []byte, scale int64) (n int64, ok bool) {
	return jsonscan.Int(raw, scale, maxCount)
}

// looseNumber also takes a number in a string ("8"), as many upstreams do.
func looseNumber(raw []byte, scale int64) (int64, bool) {
	if s := jsonscan.Content(raw); s != nil {
		raw = s
	}
	return parseNumber(raw, scale)
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }
