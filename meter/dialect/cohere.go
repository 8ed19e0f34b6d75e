package dialect

import (
	"strings"

	"github.com/tidwall/gjson"
)

// Cohere bills billed_units; tokens includes its own prompt template and is not billed. Counts are floats in the schema.

var cohereFields = []field{
	{"input_tokens", cInput},
	{"output_tokens", cOutput},
	{"search_units", cSearchUnits},
	{"images", cImages},
	{"image_tokens", cImageIn},
}

var cohereUsage = []place{
	{path: "usage.billed_units", mark: `"billed_units"`},
	{path: "delta.usage.billed_units", base: "delta.", mark: `"message-end"`},
	{path: "meta.billed_units", mark: `"billed_units"`},
}

var cohereChat = profile{
	name: "cohere-chat", family: FamilyPlain, provider: "cohere",
	match: post("/v2/chat"),
	limit: OutputLimit{fields: []string{"max_tokens"}, zeroIsNone: true},
	usage: cohereUsage, fields: cohereFields, output: outputAsIs,
	text: textSpec{
		roots: []string{"delta", "message"},
		keys: map[string]textKind{
			"text": textString, "thinking": textString, "tool_plan": textString, "arguments": textString, "finish_reason": textFinish,
		},
	},
	done: []string{"message-end"},
	asksSearches: func(q *demand, _ gjson.Result) {
		q.list = append(q.list, Ask{Unit: "search_unit", Most: 1, Guess: true}, Ask{Unit: "web_search", Most: 1, Guess: true})
	},
}

var cohereEmbed = profile{
	name: "cohere-embed", family: FamilyPlain, provider: "cohere",
	match: post("/v2/embed"),
	usage: cohereUsage, fields: cohereFields, output: outputZero,
	asks: (*demand).embeddedImages,
}

var cohereRerank = profile{
	name: "cohere-rerank", family: FamilyPlain, provider: "cohere",
	match: post("/v2/rerank"),
	usage: cohereUsage, fields: cohereFields, output: outputZero,
	asks: (*demand).documents,
}

// rerank is Voyage's and Jina's: all tokens are input. vLLM and Cohere v1 share the path.
var rerank = profile{
	name: "rerank", family: FamilyOpenAI, provider: "voyage",
	match:  either(post("/v1/rerank", "/v1/score"), exactly("/rerank", "/score", "/pooling")),
	usage:  append(cohereUsage[2:3:3], topUsage...),
	fields: append(cohereFields[2:3:3], embeddingFields...),
	output: outputZero,
	asks:   (*demand).documents,
}

// documents are ranked in units of a hundred. A long one counts once for every 500 tokens of it and the query; no text has more
// tokens than bytes. Source: Cohere's pricing page and docs.cohere.com/docs/rerank-overview.
func (q *demand) documents() {
	const perUnit, chunk = 100, 500
	query := int64(len(gjson.GetBytes(q.doc, "query").Raw))
	pieces, n := int64(0), int64(0)
	for _, name := range []string{"documents", "texts", "passages"} {
		gjson.GetBytes(q.doc, name).ForEach(func(_, d gjson.Result) bool {
			n++
			if size := int64(len(d.Raw)); size+query > chunk {
				pieces += ceilDiv(size, max(chunk-query, chunk/2))
			} else {
				pieces++
			}
			return true
		})
	}
	q.list = append(q.list, Ask{Unit: "search_unit", Most: max(ceilDiv(pieces, perUnit), 1), Else: max(ceilDiv(n, perUnit), 1)})
}

func (q *demand) embeddedImages() {
	n := gjson.GetBytes(q.doc, "images.#").Int()
	gjson.GetBytes(q.doc, "inputs").ForEach(func(_, in gjson.Result) bool {
		in.Get("content").ForEach(func(_, part gjson.Result) bool {
			if strings.HasPrefix(part.Get("type").Str, "image") {
				n++
			}
			return true
		})
		return true
	})
	q.exactly("image", n)
	q.exactly("search_unit", 0)
}
