package dialect

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// Mistral uses the chat shape and has some endpoints of its own. Sources: mistralai/client-python docs/models, docs.mistral.ai.

// mistralChat is the same wire without stream_options, which Mistral refuses with 422; usage comes in the finish chunk anyway.
var mistralChat = profile{
	name: "mistral-chat", family: FamilyOpenAI, provider: "mistral", hintOnly: true,
	match:     post("/chat/completions", "/fim/completions"),
	limit:     OutputLimit{fields: []string{"max_tokens"}, zeroIsNone: true},
	multiples: []string{"n"},
	usage:     chatUsage, fields: openaiFields, text: chatText,
}

// mistralOther are Mistral's own endpoints of the same shape.
var mistralOther = mistralChat.like("mistral-fim", "mistral", post("/fim/completions", "/agents/completions"))

// mistralOCR is priced by the page.
var mistralOCR = profile{
	name: "mistral-ocr", family: FamilyOpenAI, provider: "mistral",
	match:   post("/v1/ocr"),
	usage:   []place{{path: "usage_info", mark: `"usage_info"`}},
	fields:  []field{{"pages_processed", cPages}},
	noUsage: true,
	asks:    (*demand).pages,
}

// mistralConversations run agents and their connectors. Tokens that connectors add to the prompt are part of
// total_tokens but not of prompt_tokens. OpenAI has a free API at the same paths, which stores conversations; its answers say so.
var mistralConversations = profile{
	name: "mistral-conversations", family: FamilyOpenAI, provider: "mistral",
	match: func(method, path string) (matched, bool) {
		i := strings.LastIndex(path, "/v1/conversations")
		if method != "POST" || i < 0 {
			return matched{}, false
		}
		rest := path[i+len("/v1/conversations"):]
		id, verb, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
		return matched{}, rest == "" || rest[0] == '/' && id != "" && (verb == "" || verb == "restart")
	},
	models: []string{"model", "agent_id"},
	limit:  OutputLimit{fields: []string{"completion_args.max_tokens"}},
	usage:  topUsage, output: outputRest, searches: mistralSearches,
	fields: slices.Concat(named(cToolUse, "connector_tokens"), openaiFields),
	text: textSpec{
		roots: []string{"content", "outputs", "arguments"},
		keys:  map[string]textKind{"content": textString, "text": textString, "arguments": textString, "thinking": textString},
	},
	done:       []string{"conversation.response.done"},
	failed:     []string{"conversation.response.error"},
	freeObject: "conversation", stateful: true,
	asksSearches: func(*demand, gjson.Result) {}, // agents and stored conversations have tools that the request does not list
}

// servedByMistral recognises the names of Mistral's own API, which answers 422 to stream_options and sends usage anyway. Other
// hosts of these models use names with an organisation ("mistralai/…") or without a suffix.
func servedByMistral(model string) bool {
	return slices.ContainsFunc([]string{
		"mistral-", "open-mistral-", "open-mixtral-", "codestral-", "ministral-", "magistral-", "devstral-", "pixtral-", "voxtral-",
	}, func(prefix string) bool { return strings.HasPrefix(model, prefix) })
}

// mistralSearches adds up the two web searches that agents may have; a map that an answer leaves out changes nothing.
func mistralSearches(r *Reader, data []byte) {
	if !bytes.Contains(data, []byte(`"connectors"`)) {
		return
	}
	n, found := int64(0), false
	for _, name := range []string{"web_search", "web_search_premium"} {
		if x, ok := lenientNumber(jsonscan.Get(data, "usage.connectors."+name), 1); ok && x >= 0 {
			n, found = min(n+x, maxCount), true
		}
	}
	if found && n >= r.parts[cWebSearch].N {
		r.parts[cWebSearch] = Count{n, true}
	}
}
