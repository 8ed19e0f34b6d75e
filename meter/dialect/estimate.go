package dialect

import (
	"bytes"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect/tokens"
)

// InputEstimate is what a request body says about its input before it is sent.
type InputEstimate struct {
	Text     int64 // tokens of all text, JSON structure included, with tokenizer factor and margin; at most Bytes
	Media    int64 // tokens of inline and linked images, audio and documents, by formula or worst case
	Overhead int64 // hidden prompt for tools
	Bytes    int64 // hard bound for text: no tokenizer makes more tokens than bytes
	Medias   int   // number of media parts
	Inline   int64 // bytes of Bytes that are inline media, not text
	// Hidden is true if the request refers to input it does not contain (a stored conversation, a cached prompt, server tools).
	Hidden bool
	// CacheWrites is true if the provider may write a part of the input to a cache, at another price. Some APIs do it only when
	// the request says so.
	CacheWrites bool
}

// Total is the number of tokens to hold for the input.
func (e InputEstimate) Total() int64 { return e.Text + e.Media + e.Overhead }

// Bound is a number of tokens that no tokenizer exceeds: one per byte of text,
// media by formula. It is four times the usual count and more.
func (e InputEstimate) Bound() int64 { return max(e.Bytes-e.Inline, 0) + e.Media + e.Overhead }

const toolOverhead = 350

// EstimateInput estimates the input of a request body: one pass, no allocation for text (wire.md §6.4).
func (a *API) EstimateInput(b Body) InputEstimate {
	if b.Kind.IsForm() {
		return a.estimateForm(b)
	}
	return a.estimate(b.raw, b.members)
}

func (a *API) estimate(body []byte, top members) InputEstimate {
	e := InputEstimate{Bytes: int64(len(body))}
	if len(body) == 0 {
		return e
	}
	p := a.profile
	if p.intInput != "" {
		if n, ok := countInts(jsonscan.Get(body, p.intInput)); ok {
			e.Text = min(n, e.Bytes)
			return e
		}
	}
	model, own := a.PathModel, topOf(top)
	if m := jsonscan.Content(own.model); m != nil {
		model = string(m)
	}
	b := tokens.Model{Family: a.Family, Name: model}.Body(body)
	e.Text, e.Media, e.Medias, e.Inline = min(b.Text, e.Bytes), b.Media, b.Parts, b.Inline
	if len(own.tools) > 2 {
		e.Overhead = toolOverhead
	}
	e.Hidden = own.hidden || p.stateful || own.tools != nil && anyTool(gjson.ParseBytes(own.tools), hosted)
	e.CacheWrites = b.CacheMarked || a.Family != FamilyAnthropic && !p.cacheMarks
	return e
}

// estimateForm estimates a form: its text fields as text, its files by the kind of API.
func (a *API) estimateForm(b Body) InputEstimate {
	e := a.estimate(b.doc, b.members)
	e.Bytes = int64(len(b.raw))
	if e.Medias = len(b.files); e.Medias == 0 {
		return e
	}
	e.Inline = max(e.Bytes-int64(len(b.doc)), 0)
	if a.profile.recordings {
		e.Media = tokens.Audio(e.Bytes)
	} else {
		e.Media = int64(e.Medias) * tokens.Model{Family: a.Family}.WorstImage()
	}
	return e
}

// topLevel is what an estimate needs of a body's own members.
type topLevel struct {
	model, tools []byte
	hidden       bool // it refers to input that it does not contain
}

func topOf(list members) (t topLevel) {
	for i := range list {
		value := list[i].value
		switch string(list[i].key) {
		case "model":
			if t.model == nil {
				t.model = value
			}
		case "tools":
			if t.tools == nil {
				t.tools = value
			}
		case "previous_response_id", "conversation", "cachedContent", "cached_content", "previous_interaction_id", "container":
			t.hidden = t.hidden || !jsonscan.IsNull(value)
		case "prompt":
			t.hidden = t.hidden || len(value) > 0 && value[0] == '{' && !jsonscan.IsNull(jsonscan.Get(value, "id"))
		}
	}
	return t
}

// countInts counts token ids in an array of numbers or of arrays of numbers.
func countInts(v []byte) (n int64, ok bool) {
	if len(v) == 0 || v[0] != '[' || bytes.IndexByte(v, '"') >= 0 || bytes.IndexByte(v, '{') >= 0 {
		return 0, false
	}
	in := false
	for _, c := range v {
		digit := c >= '0' && c <= '9' || c == '.' || c == '-' || c == 'e' || c == 'E' || c == '+'
		if digit && !in {
			n++
		}
		in = digit
	}
	return n, n > 0
}

// promptsIn is the number of prompts of a legacy completion: a string or one list of token ids is one.
func promptsIn(v gjson.Result) int64 {
	if !v.IsArray() {
		return 1
	}
	n := int64(0)
	v.ForEach(func(_, item gjson.Result) bool {
		if item.Type == gjson.Number {
			n = 1
			return false
		}
		n++
		return true
	})
	return max(n, 1)
}
