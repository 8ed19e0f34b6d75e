package dialect

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/dialect/tokens"
	"github.com/farebox-dev/farebox/meter/media"
)

// Ask is how much of a unit a request asks for, before its answer is known.
type Ask struct {
	Unit string // as price files name it: image, second, character, page, search_unit, video, web_search, web_fetch
	// Most bounds the answer; Else is charged if the answer reports nothing. Both are thousandths if Milli is set.
	Most, Else int64
	Milli      bool // seconds
	Guess      bool // nothing bounds the answer: a larger reserve of the price file replaces Most
}

// demand collects the units that one request asks for.
type demand struct {
	api *API
	Body
	form bool
	list []Ask
}

// Asks are the units that a request asks for, each once. For units that it does not state, the price file has a reserve.
func (a *API) Asks(b Body) []Ask {
	q := &demand{api: a, Body: b, form: b.Kind.IsForm()}
	q.searches()
	if asks := a.profile.asks; asks != nil {
		asks(q)
	}
	return q.list
}

// exactly adds an exact number of units.
func (q *demand) exactly(unit string, n int64) {
	q.list = append(q.list, Ask{Unit: unit, Most: n, Else: n})
}

// atMost adds a bound; an answer that reports nothing has used nothing.
func (q *demand) atMost(unit string, n int64) {
	q.list = append(q.list, Ask{Unit: unit, Most: n})
}

func (q *demand) millis(most, otherwise int64) {
	q.list = append(q.list, Ask{Unit: "second", Most: most, Else: otherwise, Milli: true})
}

// number is the largest positive number among the fields: a server may read any of them.
func (q *demand) number(scale int64, names ...string) (most int64, ok bool) {
	for _, name := range names {
		v := gjson.GetBytes(q.doc, name)
		if v.Type != gjson.Number && v.Type != gjson.String {
			continue
		}
		if n, fine := lenientNumber([]byte(v.Raw), scale); fine && n > 0 {
			most, ok = max(most, n), true
		}
	}
	return most, ok
}

// count is the largest of the fields, or else the default of the API.
func (q *demand) count(otherwise int64, names ...string) int64 {
	if n, ok := q.number(1, names...); ok {
		return n
	}
	return otherwise
}

// recording is as long as the uploaded file plays.
func (q *demand) recording() {
	if !q.form {
		return
	}
	total := int64(0)
	for _, f := range q.files {
		ms, _ := media.Length(f)
		total += ms
	}
	if total == 0 && !q.linksFile() { // no part is a file: what the upstream may take for one is not longer than the body
		total = media.Bound(int64(len(q.raw)))
	}
	if total > 0 {
		q.millis(total, total)
	}
}

// linksFile reports whether the request names a file instead of containing it.
func (q *demand) linksFile() bool {
	return slices.ContainsFunc([]string{"file_url", "url", "file_id", "cloud_storage_url"}, func(name string) bool {
		return gjson.GetBytes(q.doc, name).Str != ""
	})
}

// video is one clip or as many as are asked for, as long as is asked for.
func (q *demand) video(seconds int64, names ...string) {
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

// characters are those of the text that is named, never more than the body has bytes.
func (q *demand) characters(names ...string) {
	n := int64(0)
	for _, name := range names {
		n = max(n, int64(utf8.RuneCountInString(gjson.GetBytes(q.doc, name).String())))
	}
	q.list = append(q.list, Ask{Unit: "character", Most: int64(len(q.raw)), Else: n})
}

// anything reads the members that most APIs have in common.
func (q *demand) anything() {
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

// searches adds the searches that the tools of the request allow. It is sure of none only where every tool is known not to search:
// what a request refers to (a stored prompt, cached content, an agent) may add tools that it does not show.
func (q *demand) searches() {
	tools := gjson.GetBytes(q.doc, "tools")
	if q.searchesByPlugin(tools) { // as many as the price file reserves
		return
	}
	switch p := q.api.profile; {
	case p.asksSearches != nil:
		p.asksSearches(q, tools)
	case p.family == FamilyAnthropic:
		q.anthropicTools(tools)
	case p.family == FamilyGemini:
		if !anyTool(tools, maySearch) && !q.has("cachedContent", "cached_content", "agent") {
			q.atMost("web_search", 0)
		}
	case p.family == FamilyOpenAI && p.limit.Exists():
		if !anyTool(tools, maySearch) && !q.has("web_search_options", "search_parameters") {
			// Some models always search (Perplexity, OpenAI's search models): once, or as the price file reserves.
			q.list = append(q.list, Ask{Unit: "web_search", Most: 1, Guess: true})
		}
	}
}

// searchesByPlugin reports whether OpenRouter would search the web for the request: by a plugin, by the
// variant :online, which is the same, or by a tool of its own. Each is billed (openrouter.ai/docs/features/web-search).
func (q *demand) searchesByPlugin(tools gjson.Result) bool {
	searching := func(name string) bool { return strings.HasPrefix(name, "openrouter:web_") }
	if q.has("plugins") || anyTool(tools, searching) {
		return true
	}
	names := append(q.api.Runs(q.Body).Models, gjson.GetBytes(q.doc, "model").Str)
	return slices.ContainsFunc(names, func(name string) bool { return strings.Contains(strings.ToLower(name), ":online") })
}

func (q *demand) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return isSet(gjson.GetBytes(q.doc, name)) })
}

// pages are those that are listed, else those of the document, if it is there.
func (q *demand) pages() {
	inside := int64(0)
	for _, name := range []string{"document.document_url", "document.image_url", "document.image_url.url"} {
		v := gjson.GetBytes(q.doc, name)
		if v.Type != gjson.String {
			continue
		}
		data, ok := tokens.DataURL([]byte(v.Str))
		switch {
		case strings.HasPrefix(name, "document.image_url"):
			inside = 1
		case ok:
			inside = tokens.PDFPages(data)
		}
	}
	switch listed := listedPages(gjson.GetBytes(q.doc, "pages")); {
	case listed > 0 && inside > 0:
		q.exactly("page", min(listed, inside))
	case listed+inside > 0:
		q.exactly("page", listed+inside)
	}
}

// listedPages counts [0, 1, 2] and "0-2,5"; 0 for anything else.
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
