package dialect

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
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

// openaiSearches counts the searches among the items of a response, or, in a stream, among the items that are done.
func openaiSearches(r *Reader, data []byte) {
	if !bytes.Contains(data, []byte(`"web_search_call"`)) && !bytes.Contains(data, []byte(`"num_requests"`)) {
		return
	}
	most := int64(0)
	for _, base := range []string{"", "response."} {
		n := int64(0)
		gjson.GetBytes(data, base+"output").ForEach(func(_, item gjson.Result) bool {
			if isSearch(item) {
				n++
			}
			return true
		})
		if own, ok := parseNumber(jsonscan.Get(data, base+"tool_usage.web_search.num_requests"), 1); ok { // OpenAI's own count
			n = max(n, own)
		}
		most = max(most, n)
	}
	if item := gjson.GetBytes(data, "item"); isSearch(item) && item.Get("status").Str == "completed" {
		if r.searched == nil {
			r.searched = map[string]bool{}
		}
		if len(r.searched) < maxSearches {
			r.searched[item.Get("id").Str] = true
		}
	}
	if most = max(most, int64(len(r.searched))); most > r.parts[cWebSearch].N {
		r.parts[cWebSearch] = Count{most, true}
	}
}

// maxSearches bounds the ids that are kept of one answer.
const maxSearches = 1000

func isSearch(item gjson.Result) bool {
	action := item.Get("action.type").Str
	switch item.Get("status").Str {
	case "failed", "incomplete", "cancelled":
		return false
	}
	return item.Get("type").Str == "web_search_call" && (action == "" || action == "search")
}

// mistralSearches adds up the two web searches that agents may have; a map that an answer leaves out changes nothing.
func mistralSearches(r *Reader, data []byte) {
	if !bytes.Contains(data, []byte(`"connectors"`)) {
		return
	}
	n, found := int64(0), false
	for _, name := range []string{"web_search", "web_search_premium"} {
		if x, ok := looseNumber(jsonscan.Get(data, "usage.connectors."+name), 1); ok && x >= 0 {
			n, found = min(n+x, maxCount), true
		}
	}
	if found && n >= r.parts[cWebSearch].N {
		r.parts[cWebSearch] = Count{n, true}
	}
}

// geminiSearches counts what grounding in Google Search is billed by.
func geminiSearches(r *Reader, data []byte) {
	if !bytes.Contains(data, []byte(`"webSearchQueries"`)) {
		return
	}
	if r.searched == nil {
		r.searched = map[string]bool{}
	}
	gjson.GetBytes(data, "candidates").ForEach(func(_, candidate gjson.Result) bool {
		candidate.Get("groundingMetadata.webSearchQueries").ForEach(func(_, query gjson.Result) bool {
			if q := strings.TrimSpace(query.Str); q != "" && len(r.searched) < maxSearches {
				r.searched[q] = true
			}
			return true
		})
		return true
	})
	n := int64(len(r.searched))
	model := r.model
	if model == "" {
		model = r.api.PathModel
	}
	if strings.HasPrefix(model, "gemini-1") || strings.HasPrefix(model, "gemini-2") {
		n = min(n, 1)
	}
	if n > r.parts[cWebSearch].N {
		r.parts[cWebSearch] = Count{n, true}
	}
}
