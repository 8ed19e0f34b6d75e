package dialect

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/media"
)

// Ask is how much of a unit a request asks for, known before its answer.
type Ask struct {
	Unit string // as price files name it: image, second, character, page, search_unit, video, web_search, web_fetch
	// Most is what the answer has at most, Else what it counts for if it does not say. Both are thousandths if Milli is set.
	Most, Else int64
	Milli      bool // seconds
	Guess      bool // nothing bounds it: a larger reserve of the price file counts instead of Most
}

// asking is one request while its units are counted.
type asking struct {
	api *API
	Body
	form bool
	list []Ask
}

// Asks are the units that a request says it wants, each once. What it does not say is left out: a price file has a reserve for
// that. body is the decoded body of the request, JSON or a form.
func (a *API) Asks(b Body) []Ask {
	q := &asking{api: a, Body: b, form: b.Kind.IsForm()}
	q.searches()
	switch p := a.profile; p {
	case &openaiSpeech:
		q.speech()
	case &openaiAudio:
		q.recording()
	case &openaiVideo:
		q.video(4, "seconds", "duration")
	case &geminiLong:
		q.video(8, "parameters.durationSeconds", "parameters.duration_seconds")
	case &mistralOCR:
		q.pages()
	case &cohereRerank, &rerank:
		q.documents()
	case &cohereEmbed:
		q.embeddedImages()
	case &openaiImages:
		q.exactly("image", q.count(1, "n"))
	case &vertexPredict:
		q.exactly("image", q.count(1, "parameters.sampleCount", "parameters.sample_count"))
		q.characters("instances")
	case &plain, &replicate, &fal:
		q.anything()
	}
	return q.list
}

// exactly notes what is known to the unit.
func (q *asking) exactly(unit string, n int64) {
	q.list = append(q.list, Ask{Unit: unit, Most: n, Else: n})
}

// atMost notes a bound of what most answers have nothing of.
func (q *asking) atMost(unit string, n int64) {
	q.list = append(q.list, Ask{Unit: unit, Most: n})
}

func (q *asking) millis(most, otherwise int64) {
	q.list = append(q.list, Ask{Unit: "second", Most: most, Else: otherwise, Milli: true})
}

// number is the largest of the fields that are there; ok if any is a positive number. A server may read any of them.
func (q *asking) number(scale int64, names ...string) (most int64, ok bool) {
	for _, name := range names {
		v := gjson.GetBytes(q.doc, name)
		if v.Type != gjson.Number && v.Type != gjson.String {
			continue
		}
		if n, fine := looseNumber([]byte(v.Raw), scale); fine && n > 0 {
			most, ok = max(most, n), true
		}
	}
	return most, ok
}

// count is a whole number; without one it is what the API takes for it.
func (q *asking) count(otherwise int64, names ...string) int64 {
	if n, ok := q.number(1, names...); ok {
		return n
	}
	return otherwise
}

// speech is billed by the characters of its text. No voice is slower than four characters a second.
func (q *asking) speech() {
	text := gjson.GetBytes(q.doc, "input").Str
	n := int64(utf8.RuneCountInString(text))
	q.exactly("character", n)
	slowest := int64(1) // the least speed that the API takes is a quarter
	if speed, ok := q.number(1000, "speed"); ok && speed < 1000 {
		slowest = ceilDiv(1000, max(speed, 250))
	}
	q.millis(max(n, 1)*250*slowest, max(n, 1)*1000/15) // fifteen is usual
}

// recording is as long as the uploaded file plays.
func (q *asking) recording() {
	if !q.form {
		return
	}
	total := int64(0)
	for _, f := range q.files {
		ms, _ := media.Length(f)
		total += ms
	}
	if total == 0 && q.fileURL() == "" { // no part is a file: whatever the upstream takes for one is not longer than the body
		total = media.Bound(int64(len(q.raw)))
	}
	if total > 0 {
		q.millis(total, total)
	}
}

func (q *asking) fileURL() string {
	for _, name := range []string{"file_url", "url", "file_id", "cloud_storage_url"} {
		if v := gjson.GetBytes(q.doc, name).Str; v != "" {
			return v
		}
	}
	return ""
}

// video is one clip or as many as are asked for, as long as is asked for.
func (q *asking) video(seconds int64, names ...string) {
	n := q.count(1, "n", "parameters.sampleCount", "parameters.sample_count", "parameters.numberOfVideos")
	q.exactly("video", n)
	each, given := q.number(1000, names...)
	if !given {
		each = seconds * 1000
	}
	// A clip that is made from another one may be as long as that.
	if remade := strings.HasSuffix(q.api.Name, "-video") && !given && (q.form || gjson.GetBytes(q.doc, "video").Exists() || !gjson.GetBytes(q.doc, "model").Exists()); remade {
		return
	}
	length := min(each, maxCount) * min(n, 1000)
	q.millis(length, length)
}

// pages are those that are listed, else those of the document, if it is there.
func (q *asking) pages() {
	inside := int64(0)
	for _, name := range []string{"document.document_url", "document.image_url", "document.image_url.url"} {
		v := gjson.GetBytes(q.doc, name)
		if v.Type != gjson.String {
			continue
		}
		data, ok := dataURL([]byte(v.Str))
		switch {
		case strings.HasPrefix(name, "document.image_url"):
			inside = 1
		case ok:
			inside = pdfPages(data, int64(len(data))*3/4)
		}
	}
	switch listed := listedPages(gjson.GetBytes(q.doc, "pages")); {
	case listed > 0 && inside > 0:
		q.exactly("page", min(listed, inside))
	case listed+inside > 0:
		q.exactly("page", listed+inside)
	}
}

// listedPages counts [0, 1, 2] and "0-2,5"; 0 if there is no such list.
func listedPages(v gjson.Result) (n int64) {
	switch {
	case v.IsArray():
		return v.Get("#").Int()
	case v.Type == gjson.Number:
		return 1
	case v.Type != gjson.String:
		return 0
	}
	for part := range strings.SplitSeq(v.Str, ",") {
		from, to, ranged := strings.Cut(strings.TrimSpace(part), "-")
		a, errA := strconv.ParseInt(strings.TrimSpace(from), 10, 32)
		b, errB := a, error(nil)
		if ranged {
			b, errB = strconv.ParseInt(strings.TrimSpace(to), 10, 32)
		}
		if errA != nil || errB != nil || b < a {
			return 0
		}
		n += b - a + 1
	}
	return n
}

// documents are ranked in units of a hundred. A long one counts once for every 500 tokens of it and the query; no text has more
// tokens than bytes. Source: Cohere's pricing page and docs.cohere.com/docs/rerank-overview.
func (q *asking) documents() {
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

func (q *asking) embeddedImages() {
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

// characters are those of the text that is named, never more than the body has bytes.
func (q *asking) characters(names ...string) {
	n := int64(0)
	for _, name := range names {
		n = max(n, int64(utf8.RuneCountInString(gjson.GetBytes(q.doc, name).String())))
	}
	q.list = append(q.list, Ask{Unit: "character", Most: int64(len(q.raw)), Else: n})
}

// anything reads the names that most APIs have for the same.
func (q *asking) anything() {
	images := q.count(1, "n", "num_images", "num_outputs", "number_of_images", "batch_size", "samples", "sampleCount", "input.num_outputs", "input.num_images")
	q.exactly("image", images)
	q.exactly("video", q.count(1, "n", "num_videos", "sampleCount"))
	q.characters("input", "text", "prompt")
	if q.form {
		q.recording()
	} else if ms, ok := q.number(1000, "seconds", "duration", "duration_seconds", "input.duration"); ok {
		q.millis(ms, ms)
	}
	if gjson.GetBytes(q.doc, "documents").IsArray() {
		q.documents()
	}
	q.pages()
}

// searches are as many as the tools of the request allow. There are none only where every tool of it is known not to search; what
// it refers to (a stored prompt, cached content, an agent) may bring tools that it does not show.
func (q *asking) searches() {
	tools := gjson.GetBytes(q.doc, "tools")
	switch p := q.api.profile; {
	case q.searchesBeside(tools): // as many as the price file reserves
	case p == &anthropicBatch:
		q.anthropicTools("web_search", gjson.GetBytes(q.doc, "requests.#.params.tools").Array()...)
		q.anthropicTools("web_fetch", gjson.GetBytes(q.doc, "requests.#.params.tools").Array()...)
	case p.family == FamilyAnthropic:
		q.anthropicTools("web_search", tools)
		q.anthropicTools("web_fetch", tools)
	case p == &openaiResponses:
		if !anyTool(tools, maySearch) && !q.has("prompt.id", "preset", "search_parameters", "web_search_options") {
			q.atMost("web_search", 0)
		} else if n, ok := q.number(1, "max_tool_calls"); ok {
			q.atMost("web_search", n)
		}
	case p.family == FamilyGemini:
		if !anyTool(tools, maySearch) && !q.has("cachedContent", "cached_content", "agent") {
			q.atMost("web_search", 0)
		}
	case p == &cohereChat:
		q.list = append(q.list, Ask{Unit: "search_unit", Most: 1, Guess: true}, Ask{Unit: "web_search", Most: 1, Guess: true})
	case p == &mistralConversations: // agents and stored conversations have tools that the request does not list
	case p.family == FamilyOpenAI && p.limit.Exists():
		if !anyTool(tools, maySearch) && !q.has("web_search_options", "search_parameters") {
			// Some models search whatever the request says (Perplexity, OpenAI's search models): once, or as the price file reserves.
			q.list = append(q.list, Ask{Unit: "web_search", Most: 1, Guess: true})
		}
	}
}

// searchesBeside reports whether OpenRouter would search the web for the request, whatever its shape: by a plugin, by the
// variant :online, which is the same, or by a tool of its own. Each is billed (openrouter.ai/docs/features/web-search).
func (q *asking) searchesBeside(tools gjson.Result) bool {
	searching := func(name string) bool { return strings.HasPrefix(name, "openrouter:web_") }
	if q.has("plugins") || anyTool(tools, searching) {
		return true
	}
	names := append(q.api.Runs(q.Body).Models, gjson.GetBytes(q.doc, "model").Str)
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(strings.ToLower(name), ":online") })
}

func (q *asking) has(names ...string) bool {
	for _, name := range names {
		if v := gjson.GetBytes(q.doc, name); v.Exists() && v.Type != gjson.Null {
			return true
		}
	}
	return false
}

// anthropicTools adds up the max_uses of the server tools of one name; if one has none, nothing bounds it.
func (q *asking) anthropicTools(name string, lists ...gjson.Result) {
	n, bounded := int64(0), true
	for _, tools := range lists {
		tools.ForEach(func(_, t gjson.Result) bool {
			if !strings.HasPrefix(t.Get("type").Str, name) {
				return true
			}
			uses, ok := looseNumber([]byte(t.Get("max_uses").Raw), 1)
			bounded = bounded && ok && uses >= 0
			n = min(n+max(uses, 0), maxCount)
			return true
		})
	}
	if bounded {
		q.atMost(name, n)
	}
}
