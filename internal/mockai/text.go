package mockai

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

const (
	usualWords = 24
	longWords  = 400
	created    = 1790000000 // answers do not depend on the clock
)

var story = strings.Fields("The ferry left at dawn while fog lay over the harbour and nobody on the pier minded the delay of twenty minutes at all.")

// answer is the text of one choice, and whether the request's limit cut it.
func (c *call) answer(limits ...string) (words []string, cut bool) {
	n := usualWords
	if c.has("long-stream") {
		n = longWords
	}
	for _, path := range limits {
		if v := c.body.Get(path); v.Type == gjson.Number && int(v.Int()) < n {
			n, cut = max(int(v.Int()), 0), true
		}
	}
	words = make([]string, n)
	for i := range words {
		words[i] = story[i%len(story)]
		if i+1 < n {
			words[i] += " "
		}
	}
	return words, cut
}

// Tokens is the mock's tokenizer: 4 bytes a token, rounded up.
func Tokens(text string) int { return (len(text) + 3) / 4 }

// input counts the request: 3 for each message, and its text.
func (c *call) input() int {
	var text strings.Builder
	messages := 0
	for _, root := range []string{"messages", "input", "system", "instructions", "prompt", "contents"} {
		v := c.body.Get(root)
		if v.IsArray() && (root == "messages" || root == "contents") {
			messages += len(v.Array())
		}
		collect(&text, v)
	}
	return 3*messages + Tokens(text.String())
}

// collect gathers the text below v: strings themselves, and what is named text or content.
func collect(text *strings.Builder, v gjson.Result) {
	switch {
	case v.Type == gjson.String:
		text.WriteString(v.Str)
	case v.IsArray():
		v.ForEach(func(_, item gjson.Result) bool {
			collect(text, item)
			return true
		})
	case v.IsObject():
		for _, name := range []string{"content", "text", "parts"} {
			collect(text, v.Get(name))
		}
	}
}

// stream writes server-sent events at the mock's pace.
type stream struct {
	c      *call
	named  bool // events have a name, the member "type" of their data
	chunks int
}

func (c *call) stream(named bool) *stream {
	c.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	c.w.Header().Set("Cache-Control", "no-cache")
	c.w.WriteHeader(http.StatusOK)
	return &stream{c: c, named: named}
}

// send writes one event and flushes.
func (s *stream) send(data object) {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // answers are made of plain maps
	}
	event := "data: " + string(b) + "\n\n"
	if kind, ok := data["type"].(string); ok && s.named {
		event = "event: " + kind + "\n" + event
	}
	s.raw(event)
}

func (s *stream) raw(event string) {
	_, _ = s.c.w.Write([]byte(event))
	_ = http.NewResponseController(s.c.w).Flush()
}

const brokenAfter = 5 // chunks until cut-stream and error-stream show

// words sends the answer word by word. It returns false if the client left or the stream ended in an error.
func (s *stream) words(words []string, event func(word string) object, failure object) bool {
	for _, word := range words {
		if s.chunks == brokenAfter && s.c.has("cut-stream") {
			panic(http.ErrAbortHandler)
		}
		if s.chunks == brokenAfter && s.c.has("error-stream") {
			s.send(failure)
			return false
		}
		if s.chunks > 0 && !s.c.wait(s.c.opt.Pace) {
			return false
		}
		if s.c.r.Context().Err() != nil {
			return false
		}
		s.chunks++
		s.send(event(word))
	}
	return true
}
