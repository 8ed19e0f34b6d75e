package dialect

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
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
	return a.estimate(b.raw)
}

func (a *API) estimate(body []byte) InputEstimate {
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
	model, top := a.PathModel, topOf(body)
	if m := jsonscan.Content(top.model); m != nil {
		model = string(m)
	}
	s := bodyScan{family: a.Family, model: model}
	s.scan(body)
	percent := tokenizerPercent(a.Family, model) * 110 // margin 10 %
	e.Text = min((s.text.cost*percent/(64*100*100) + 1), e.Bytes)
	e.Media, e.Medias, e.Inline = s.media, s.medias, s.inline
	if len(top.tools) > 2 {
		e.Overhead = toolOverhead
	}
	e.Hidden = top.hidden || anyTool(gjson.ParseBytes(top.tools), hosted) || p == &mistralConversations // which go on where they were
	e.CacheWrites = s.marked || a.Family != FamilyAnthropic && a.profile != &bedrockConverse && a.profile != &bedrockInvoke
	return e
}

// estimateForm estimates a form: its text fields as text, its files by the kind of API.
func (a *API) estimateForm(b Body) InputEstimate {
	e := a.estimate(b.doc)
	e.Bytes = int64(len(b.raw))
	if e.Medias = len(b.files); e.Medias == 0 {
		return e
	}
	e.Inline = max(e.Bytes-int64(len(b.doc)), 0)
	if a.profile == &openaiAudio {
		e.Media = audioTokens(e.Bytes)
	} else {
		e.Media = int64(e.Medias) * worstImage(a.Family)
	}
	return e
}

// tokenizerPercent is the ratio to o200k in per cent. No vocabulary of current Claude models is public; their documentation
// says about 30 % more since Opus 4.7 and generation 5.
func tokenizerPercent(family, model string) int64 {
	if i := strings.LastIndexByte(model, '/'); i >= 0 {
		model = model[i+1:]
	}
	switch {
	case strings.Contains(model, "claude"):
		for _, old := range []string{"claude-3", "-4-0", "-4-1", "-4-5", "-4-6", "-4-2025"} {
			if strings.Contains(model, old) {
				return 115
			}
		}
		return 150
	case strings.HasPrefix(model, "gpt-3.5"), model == "gpt-4", strings.HasPrefix(model, "gpt-4-"):
		return 130
	case strings.HasPrefix(model, "gpt-"), strings.HasPrefix(model, "o1"), strings.HasPrefix(model, "o3"), strings.HasPrefix(model, "o4"):
		return 100
	case family == FamilyAnthropic:
		return 150
	case family == FamilyGemini, strings.HasPrefix(model, "gemini"):
		return 110
	}
	return 120
}

// topLevel is what an estimate needs of a body's own members, found in one walk.
type topLevel struct {
	model, tools []byte
	hidden       bool // it refers to input that it does not contain
}

func topOf(body []byte) (t topLevel) {
	for key, value := range jsonscan.Members(body) {
		switch string(key) {
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

// bodyScan walks a JSON body once.
type bodyScan struct {
	text   textScan
	media  int64
	medias int
	inline int64
	family string
	model  string
	marked bool // some part is marked for a cache
}

const minMedia = 512 // shorter strings are text, whatever they look like

func (s *bodyScan) scan(b []byte) {
	var key []byte
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			end := jsonscan.SkipString(b, i)
			if end < 0 {
				s.text.write(b[i+1:])
				return
			}
			value := b[i+1 : end-1]
			i = end
			if end < len(b) && b[end] == ':' || end+1 < len(b) && b[end] == ' ' && b[end+1] == ':' {
				key = value
				s.marked = s.marked || cacheKey(key)
				s.text.write(value)
				continue
			}
			s.value(key, value)
		case c == '{' || c == ',':
			s.text.cost += costToken
			s.text.kind = scanNone
			i++
		case c >= '0' && c <= '9':
			start := i
			for i++; i < len(b) && (b[i] >= '0' && b[i] <= '9'); i++ {
			}
			s.text.cost += costToken * int64((i-start+2)/3)
		default:
			i++
		}
	}
}

// value charges one string: as a medium if it is one, else as text.
func (s *bodyScan) value(key, v []byte) {
	if len(v) < minMedia {
		if linked(key, v) {
			s.media += worstImage(s.family)
			s.medias++
		}
		s.text.kind = scanNone
		s.text.write(v)
		return
	}
	if data, ok := dataURL(v); ok {
		s.addMedia(data)
		return
	}
	if !textKey(key) && base64Like(v) {
		s.addMedia(v)
		return
	}
	s.text.kind = scanNone
	s.text.write(v)
}

func (s *bodyScan) addMedia(data []byte) {
	s.media += mediaTokens(data, s.family, s.model)
	s.inline += int64(len(data))
	s.medias++
}

// cacheKey names the members that mark a part for a cache.
func cacheKey(key []byte) bool {
	return string(key) == "cache_control" || string(key) == "cachePoint"
}

// textKey names the members that models read as text: base64 in there is text, and dear.
func textKey(key []byte) bool {
	switch string(key) {
	case "text", "content", "prompt", "query", "system", "instructions", "arguments", "output", "title", "context":
		return true
	}
	return false
}

// linked says whether a short string refers to a medium elsewhere. It is not fetched: worst case.
func linked(key, v []byte) bool {
	switch string(key) {
	case "url", "image_url", "fileUri", "file_uri", "file_url", "uri", "video_url", "audio_url", "file_id", "image":
	default:
		return false
	}
	return bytes.HasPrefix(v, []byte("http")) || bytes.HasPrefix(v, []byte("gs://")) || bytes.HasPrefix(v, []byte("s3://")) ||
		bytes.HasPrefix(v, []byte("file"))
}

// dataURL returns the base64 part of a data: URL.
func dataURL(v []byte) ([]byte, bool) {
	if !bytes.HasPrefix(v, []byte("data:")) {
		return nil, false
	}
	i := bytes.Index(v[:min(len(v), 256)], []byte(";base64,"))
	if i < 0 {
		return nil, false
	}
	return v[i+8:], true
}

// base64Like samples the start, the middle and the end.
func base64Like(v []byte) bool {
	for _, at := range []int{0, len(v)/2 - 32, len(v) - 64} {
		for _, c := range v[max(at, 0):min(max(at, 0)+64, len(v))] {
			kind := scanKinds[c]
			if kind != scanLower && kind != scanUpper && kind != scanDigit && c != '+' && c != '/' && c != '=' && c != '-' && c != '_' && c != '\\' && c != 'n' {
				return false
			}
		}
	}
	return true
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
