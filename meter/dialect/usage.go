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

// What each API bills as a web search:
//
//	OpenAI Responses   a web_search_call that completed and whose action is a search; opening a page or
//	                   finding text in one is not (platform.openai.com/docs/pricing, tools)
//	Gemini 2 and older a prompt whose answer is grounded in a search, however many queries it took
//	Gemini 3 and later each query that is not empty, once (ai.google.dev/gemini-api/docs/google-search, pricing);
//	                   Interactions report the number: usage.grounding_tool_count
//	Anthropic          usage.server_tool_use.web_search_requests
//	xAI                usage.server_side_tool_usage_details.web_search_calls, in chat and in Responses; X Search is
//	                   billed by the posts and profiles that it fetched, which are no web searches
//	Perplexity         usage.num_search_queries; of agents usage.tool_calls_details.search_web.invocation
//	OpenRouter         usage.server_tool_use_details.web_search_requests
//	LiteLLM            usage.server_tool_use.web_search_requests
//	Mistral            usage.connectors.web_search and web_search_premium, of conversations
//
// The first three have to be counted in the answer; the others are in its usage.

// counts are the numbers of one answer as reported.
type counts struct {
	c    [numCounts]Count
	cost string
	bad  bool // a count is invalid, so none is used
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
		n, ok := lenientNumber(raw, scaleOf(f.to))
		if !ok || n < 0 {
			c.bad = c.bad || f.to <= cTotal // an invalid detail is ignored
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

// maxCount is the largest valid count. No answer has a trillion tokens; larger numbers are errors and could overflow.
const maxCount = 1 << 40

// parseNumber reads a JSON number as an integer multiple of 1/scale, rounded up. Cohere sends counts as 12.0, Python clients send
// limits as 1e4.
func parseNumber(raw []byte, scale int64) (n int64, ok bool) {
	return jsonscan.Int(raw, scale, maxCount)
}

// lenientNumber also takes a number in a string ("8"), as many upstreams do.
func lenientNumber(raw []byte, scale int64) (int64, bool) {
	if s := jsonscan.Content(raw); s != nil {
		raw = s
	}
	return parseNumber(raw, scale)
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// ModelUsage is what one of several models used.
type ModelUsage struct {
	Model string // "" is the model of the answer
	Usage Usage
}

// modelCounts are the counts of one model, as reported.
type modelCounts struct {
	model string
	counts
}

// addTo adds counts to those of a model.
func addTo(list []modelCounts, model string, c *counts) []modelCounts {
	i := slices.IndexFunc(list, func(m modelCounts) bool { return m.model == model })
	if i < 0 {
		return append(list, modelCounts{model, *c})
	}
	list[i].add(c)
	return list
}

// add sums counts; what is in neither stays absent.
func (c *counts) add(more *counts) {
	for i, n := range more.c {
		if n.OK {
			c.c[i] = Count{min(c.c[i].N+n.N, maxCount), true}
		}
	}
	c.bad = c.bad || more.bad
}

// addTurn adds what one turn of a socket, or one line of a batch, has used.
func (r *Reader) addTurn(at *place, data, usage []byte) {
	p := r.api.profile
	var fresh counts
	if !fresh.read(usage, p.fields, at.except) || fresh.bad {
		return
	}
	model := r.transcriber
	if !at.separate {
		r.counts.add(&fresh)
		model = r.model
		if m := jsonscan.Content(jsonscan.Get(data, at.base+"model")); len(m) > 0 {
			model = string(m)
			r.model = model
		}
	}
	r.models = addTo(r.models, model, &fresh)
	r.separate = r.separate || at.separate
	if tier := jsonscan.Content(jsonscan.Get(data, at.base+"service_tier")); tier != nil {
		r.tier = string(tier)
	}
}

// members adds up a list of usages by their models (Anthropic's iterations). It reports nothing if the list has less than the
// totals: then it does not explain them.
func (c *counts) members(list []byte, fields []field) []modelCounts {
	if len(list) == 0 || list[0] != '[' {
		return nil
	}
	var models []modelCounts
	var all counts
	gjson.ParseBytes(list).ForEach(func(_, item gjson.Result) bool {
		var one counts
		one.read([]byte(item.Raw), fields, nil)
		all.add(&one)
		models = addTo(models, item.Get("model").Str, &one)
		return true
	})
	less := false
	for i, n := range all.c {
		if i != int(cCacheWrite) && n.OK && n.N < c.c[i].N {
			less = true
		}
		if n.OK && n.N > c.c[i].N {
			c.c[i] = n
		}
	}
	c.bad = c.bad || all.bad
	if less {
		return nil
	}
	return models
}

// byModel is the usage of each model, if there is more than one. Counts that
// only the answer as a whole has, such as web searches, go to the first one.
func (r *Reader) byModel() []ModelUsage {
	if len(r.models) < 2 && !r.separate {
		return nil
	}
	list := make([]ModelUsage, 0, len(r.models))
	for i := range r.models {
		c := r.models[i].counts
		if i == 0 && !r.separate {
			for k := cWebSearch; k < numCounts; k++ {
				if r.counts.c[k].OK {
					c.c[k] = r.counts.c[k]
				}
			}
		}
		list = append(list, ModelUsage{r.models[i].model, r.api.profile.usageOf(&c)})
	}
	return list
}
