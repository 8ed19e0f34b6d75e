// Package tokens estimates how many tokens a text, a picture or a whole request body has, without a vocabulary and without
// allocating.
package tokens

import (
	"bytes"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// Model decides which tokenizer and which formulas for media apply.
type Model struct {
	Family string // of the API: openai, anthropic, gemini or plain
	Name   string
}

const (
	anthropic = "anthropic"
	gemini    = "gemini"
)

// Body is the estimate of a JSON body.
type Body struct {
	Text        int64 // tokens of all text, JSON structure included, with a margin of 10 %
	Media       int64 // tokens of media, inline or linked
	Parts       int   // number of media
	Inline      int64 // bytes of inline media
	CacheMarked bool  // some part is marked for a cache
}

// Body estimates a JSON body in one pass (wire.md §6.4).
func (m Model) Body(body []byte) Body {
	s := bodyScan{model: m}
	s.scan(body)
	s.Text = s.text.cost*m.percent()*110/(64*100*100) + 1
	return s.Body
}

// percent is the ratio to o200k in per cent. No vocabulary of current Claude models is public; their documentation
// says about 30 % more since Opus 4.7 and generation 5.
func (m Model) percent() int64 {
	model := m.Name
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
	case m.Family == anthropic:
		return 150
	case m.Family == gemini, strings.HasPrefix(model, "gemini"):
		return 110
	}
	return 120
}

// bodyScan walks a JSON body once.
type bodyScan struct {
	Body
	text  Counter
	model Model
}

const minMedia = 512 // shorter strings always count as text

func (s *bodyScan) scan(b []byte) {
	var key []byte
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			end := jsonscan.SkipString(b, i)
			if end < 0 {
				s.text.Write(b[i+1:])
				return
			}
			value := b[i+1 : end-1]
			i = end
			if end < len(b) && b[end] == ':' || end+1 < len(b) && b[end] == ' ' && b[end+1] == ':' {
				key = value
				s.CacheMarked = s.CacheMarked || cacheKey(key)
				s.text.Write(value)
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
			s.Media += s.model.WorstImage()
			s.Parts++
		}
		s.text.kind = scanNone
		s.text.Write(v)
		return
	}
	if data, ok := DataURL(v); ok {
		s.addMedia(data)
		return
	}
	if !textKey(key) && base64Like(v) {
		s.addMedia(v)
		return
	}
	s.text.kind = scanNone
	s.text.WriteText(v)
}

func (s *bodyScan) addMedia(data []byte) {
	s.Media += s.model.media(data)
	s.Inline += int64(len(data))
	s.Parts++
}

// cacheKey names the members that mark a part for a cache.
func cacheKey(key []byte) bool {
	return string(key) == "cache_control" || string(key) == "cachePoint"
}

// textKey names the members that models read as text: base64 in them counts as text.
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

// DataURL returns the base64 part of a data: URL.
func DataURL(v []byte) ([]byte, bool) {
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
