package dialect

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// What is counted does not depend on whether an event was compared with the one before or parsed.
func TestRepeatsCountLikeParsedEvents(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	texts := []string{"", " fog", "harbour", `\"`, `a\\`, `\\\"b`, `","finish_reason":"stop`, `\u00e9`, "é漢", strings.Repeat("long ", 900), `","usage":{"completion_tokens":9},"x":"`}
	shapes := map[string][]string{
		"/v1/chat/completions": {
			`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}],"usage":null}`,
			`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":"stop"}]}`,
			`data: {"id":"c","model":"n","choices":[{"index":0,"delta":{"content":"%[1]s","reasoning":"%[1]s"}}]}`,
			`data: {"id":"c","service_tier":"flex","choices":[{"delta":{"content":"%s"}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`,
			`data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}%.0s`,
		},
		"/v1/messages": {
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}",
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"%s\"}}",
			"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"%s\"}}",
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"text\":\"%s\"},\"usage\":{\"output_tokens\":7}}",
		},
		"/v1/responses": {
			`data: {"type":"response.output_text.delta","item_id":"i","delta":"%s"}`,
			`data: {"type":"response.output_item.done","item":{"type":"web_search_call","id":"w","status":"completed","action":{"type":"search","query":"%s"}}}`,
		},
		"/v1/audio/speech": {`data: {"type":"speech.audio.delta","delta":"%s"}`},
	}
	repeats := 0
	for path, events := range shapes {
		for range 300 {
			compared, parsed := newReader(path, ReaderOptions{KeepText: true}), newReader(path, ReaderOptions{KeepText: true})
			event := ""
			for range 30 {
				if event == "" || rnd.IntN(4) == 0 {
					event = events[rnd.IntN(len(events))]
				}
				text := fmt.Sprintf(event, texts[rnd.IntN(len(texts))]) + "\n\n"
				if rnd.IntN(4) == 0 {
					text = strings.ReplaceAll(text, "\n", "\r\n")
				}
				parsed.last.forget()
				before := len(compared.last.doc)
				compared.Write([]byte(text))
				parsed.Write([]byte(text))
				if before > 0 && len(compared.last.doc) == before {
					repeats++
				}
			}
			compared.Close()
			parsed.Close()
			if got, want := compared.Result(), parsed.Result(); !reflect.DeepEqual(got, want) || compared.Delivered() != parsed.Delivered() {
				t.Fatalf("%s: %+v, want %+v", path, got, want)
			}
		}
	}
	if repeats < 1000 {
		t.Errorf("only %d events repeat", repeats)
	}
}

func newReader(path string, opt ReaderOptions) *Reader {
	return Detect("POST", path, "").NewReader(200, map[string][]string{"Content-Type": {"text/event-stream"}}, opt)
}

// Documents are passed on with whether they repeat.
func TestRepeatsAreTold(t *testing.T) {
	var told []bool
	r := newReader("/v1/chat/completions", ReaderOptions{Document: func(_ []byte, repeats bool) { told = append(told, repeats) }})
	for _, text := range []string{`a`, `b`, `c\"`, `d`, `e\\`} {
		r.Write([]byte(`data: {"id":"1","choices":[{"delta":{"content":"` + text + "\"}}]}\n\n"))
	}
	r.Write([]byte("data: {\"id\":\"2\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"))
	if want := []bool{false, true, false, true, false, false}; !reflect.DeepEqual(told, want) {
		t.Errorf("%v, want %v", told, want)
	}
}
