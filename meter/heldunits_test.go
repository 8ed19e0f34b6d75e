package meter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// unitRow is a request for a unit that only the answer counts.
type unitRow struct {
	unit, path, body string
	api              string
	file             []byte       // uploaded, if the request is a form
	held             money.Amount // units, rounded up
	header           http.Header
	answer           string // the most that the request allows
}

func wavOf(seconds, rate int) []byte {
	data := make([]byte, seconds*rate*2)
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))   //nolint:gosec // small
	b = binary.LittleEndian.AppendUint32(b, uint32(rate*2)) //nolint:gosec // small
	b = append(b, 2, 0, 16, 0)
	b = binary.LittleEndian.AppendUint32(append(b, "data"...), uint32(len(data))) //nolint:gosec // small
	return append(b, data...)
}

func repeatJSON(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }

var plainText = http.Header{"Content-Type": {"text/plain; charset=utf-8"}}

var unitRows = []unitRow{
	{unit: "image", path: "/v1/images/generations", body: `{"model":"m","prompt":"x"}`, held: 1, answer: `{"data":[{"b64_json":"AA"}]}`},
	{unit: "image", path: "/v1/images/generations", body: `{"model":"m","prompt":"x","n":4}`, held: 4, answer: `{"data":[` + repeatJSON(4, `{"url":"u"}`) + `]}`},
	{unit: "image", path: "/v1/images/generations", body: `{"model":"m","prompt":"x","n":0}`, held: 1, answer: `{"data":[{"url":"u"}]}`},
	{unit: "image", path: "/v1/images/edits", body: "n=3", file: []byte("\x89PNG\r\n\x1a\n"), held: 3, answer: `{"data":[` + repeatJSON(3, `{"url":"u"}`) + `]}`},
	{unit: "image", path: "/v1/images/variations", body: "n=2", file: []byte("\x89PNG\r\n\x1a\n"), held: 2, answer: `{"data":[{},{}]}`},
	{unit: "image", path: "/pictures", api: "openai", body: `{"model":"m","num_images":2}`, held: 2, answer: `{"pictures":["a","b"]}`},
	{unit: "second", path: "/listen", api: "openai", body: "response_format=text", file: wavOf(3, 8000), held: 3, header: plainText, answer: "a"},
	{unit: "character", path: "/speak", api: "openai", body: `{"model":"m","text":"hello"}`, held: 28, answer: `{}`},
	{unit: "page", path: "/scan", api: "openai", body: `{"model":"m","pages":[1,2]}`, held: 2, answer: `{}`},
	{unit: "image", path: "/v1beta/models/m:predict", body: `{"instances":[{"prompt":"x"}],"parameters":{"sampleCount":3}}`, held: 3, answer: `{"predictions":[` + repeatJSON(3, `{"bytesBase64Encoded":"A"}`) + `]}`},
	{unit: "image", path: "/v2/embed", body: `{"model":"m","images":["data:image/png;base64,AA","data:image/png;base64,AA"]}`, held: 2, answer: `{"meta":{"billed_units":{"images":2}}}`},
	{unit: "character", path: "/v1/audio/speech", body: `{"model":"m","input":"über uns","voice":"a"}`, held: 8, header: http.Header{"Content-Type": {"audio/mpeg"}}, answer: "ID3"},
	{unit: "character", path: "/v1beta/models/m:predict", body: `{"instances":[{"content":"hello"}]}`, held: 35, answer: `{"metadata":{"billableCharacterCount":5}}`},
	{unit: "second", path: "/v1/audio/transcriptions", body: "response_format=text", file: wavOf(11, 8000), held: 11, header: plainText, answer: "a tower"},
	{unit: "second", path: "/v1/audio/transcriptions", body: "response_format=verbose_json", file: wavOf(11, 8000), held: 11, answer: `{"duration":11.0,"text":"a"}`},
	{unit: "second", path: "/v1/audio/transcriptions", body: "response_format=json", file: wavOf(11, 8000), held: 11, answer: `{"text":"a","usage":{"type":"duration","seconds":11}}`},
	{unit: "second", path: "/v1/audio/translations", body: "response_format=vtt", file: wavOf(2, 8000), held: 2, header: plainText, answer: "WEBVTT"},
	{unit: "second", path: "/v1/audio/transcriptions", body: "response_format=text", file: bytes.Repeat([]byte("?"), 4000), held: 11, header: plainText, answer: "a"},
	{unit: "second", path: "/v1/audio/transcriptions", body: `{"model":"m","file_url":"https://example.com/a.mp3"}`, held: 10_800, answer: `{"usage":{"seconds":10800}}`},
	{unit: "page", path: "/v1/ocr", body: `{"model":"m","document":{"type":"document_url","document_url":"https://example.com/a.pdf"}}`, held: 1000, answer: `{"usage_info":{"pages_processed":1000}}`},
	{unit: "page", path: "/v1/ocr", body: `{"model":"m","pages":[0,1,2],"document":{"type":"document_url","document_url":"https://example.com/a.pdf"}}`, held: 3, answer: `{"usage_info":{"pages_processed":3}}`},
	{unit: "page", path: "/v1/ocr", body: `{"model":"m","pages":"0-4,9","document":{"type":"document_url","document_url":"https://example.com/a.pdf"}}`, held: 6, answer: `{"usage_info":{"pages_processed":6}}`},
	{unit: "page", path: "/v1/ocr", body: `{"model":"m","document":{"type":"image_url","image_url":"https://example.com/a.png"}}`, held: 1, answer: `{"usage_info":{"pages_processed":1}}`},
	{unit: "search_unit", path: "/v2/rerank", body: `{"model":"m","query":"q","documents":["a","b"]}`, held: 1, answer: `{"meta":{"billed_units":{"search_units":1}}}`},
	{unit: "search_unit", path: "/v1/rerank", body: `{"model":"m","query":"q","documents":[` + repeatJSON(101, `"a"`) + `]}`, held: 2, answer: `{"meta":{"billed_units":{"search_units":2}}}`},
	{unit: "video", path: "/v1beta/models/m:predictLongRunning", body: `{"instances":[{"prompt":"x"}],"parameters":{"sampleCount":2}}`, held: 2, answer: `{"name":"models/m/operations/1","done":true,"response":{"generatedVideos":[{},{}]}}`},
	{unit: "second", path: "/v1beta/models/m:predictLongRunning", body: `{"instances":[{"prompt":"x"}],"parameters":{"sampleCount":2,"durationSeconds":6}}`, held: 12, answer: `{"name":"models/m/operations/1","done":true}`},
	{unit: "web_search", path: "/v1/messages", body: `{"model":"m","max_tokens":5,"messages":[],"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3}]}`, held: 3, answer: `{"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1,"server_tool_use":{"web_search_requests":3}}}`},
	{unit: "web_search", path: "/v1/chat/completions", body: `{"model":"m","messages":[]}`, held: 1, answer: `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"num_search_queries":1}}`},
	{unit: "web_search", path: "/v1/responses", body: `{"model":"m","input":"x","tools":[{"type":"web_search"}],"max_tool_calls":2}`, held: 2, answer: `{"status":"completed","output":[{"type":"web_search_call","status":"completed","action":{"type":"search"}},{"type":"web_search_call","status":"completed","action":{"type":"search"}}],"usage":{"input_tokens":1,"output_tokens":1}}`},
	{unit: "web_search", path: "/v1/responses", body: `{"model":"m","prompt":{"id":"pmpt_1"}}`, held: 10, answer: `{"status":"completed","output":[{"type":"web_search_call","status":"completed","action":{"type":"search"}},{"type":"web_search_call","status":"completed","action":{"type":"search"}}],"usage":{"input_tokens":1,"output_tokens":1}}`},
	{unit: "web_search", path: "/v1/responses", body: `{"model":"m","input":"x","plugins":[{"id":"web"}]}`, held: 10, answer: `{"status":"completed","output":[{"type":"web_search_call","status":"completed","action":{"type":"search"}},{"type":"web_search_call","status":"completed","action":{"type":"search"}}],"usage":{"input_tokens":1,"output_tokens":1}}`},
	{unit: "web_search", path: "/v1/responses", body: `{"model":"m","input":"x","tools":[{"type":"browser_search"}]}`, held: 10, answer: `{"status":"completed","output":[{"type":"web_search_call","status":"completed","action":{"type":"search"}},{"type":"web_search_call","status":"completed","action":{"type":"search"}}],"usage":{"input_tokens":1,"output_tokens":1}}`},
	{unit: "web_search", path: "/v1beta/models/m:generateContent", body: `{"contents":[],"tools":[{"googleSearchRetrieval":{}}]}`, held: 10, answer: `{"candidates":[{"content":{"parts":[{"text":"a"}]},"groundingMetadata":{"webSearchQueries":["a","b"]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}`},
	{unit: "web_search", path: "/v1beta/models/m:generateContent", body: `{"contents":[],"tools":[{"functionDeclarations":[]},{"google_search_retrieval":{}}]}`, held: 10, answer: `{"candidates":[{"content":{"parts":[{"text":"a"}]},"groundingMetadata":{"webSearchQueries":["a","b"]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}`},
	{unit: "web_search", path: "/v1beta/models/m:generateContent", body: `{"contents":[],"tools":{"googleSearch":{}}}`, held: 10, answer: `{"candidates":[{"content":{"parts":[{"text":"a"}]},"groundingMetadata":{"webSearchQueries":["a","b"]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}`},
}

func (u *unitRow) request(t *testing.T) *Request {
	t.Helper()
	r := post(u.path, u.body)
	if u.file == nil {
		return r
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	name, value, _ := strings.Cut(u.body, "=")
	for _, f := range [][2]string{{"model", "m"}, {name, value}} {
		if err := w.WriteField(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("file", "a.wav")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(u.file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r.Body, r.ContentType = form.Bytes(), w.FormDataContentType()
	return r
}

// unitBooks are the forms of a price by a unit of the answer.
func unitBooks(u *unitRow, amount money.Amount) map[string]string {
	api := ""
	if u.api != "" {
		api = "api: " + u.api + ", "
	}
	book := func(operation, models string) string {
		return fmt.Sprintf("version: 1\ncredit: {name: credit, decimals: 0}\noperations:\n  op: {match: POST %s, %s}\n%s"+
			"plans: {p: {credits: [{type: free, amount: %d}]}, none: {}}\ndefault_plan: p\n", "/*", api+operation, models, amount)
	}
	model := "model: body.model, "
	switch {
	case u.file != nil:
		model = "model: form.model, "
	case strings.HasPrefix(u.path, "/v1beta/"):
		model = ""
	}
	return map[string]string{
		"by_model":            book(model+"price: by_model", "models: {m: {per_"+u.unit+": 1}}\n"),
		"by_model, a pattern": book(model+"price: by_model", "models: {\"*\": {per_"+u.unit+": 1}}\n"),
		"rates":               book("model: none, price: {per_"+u.unit+": 1}", ""),
		"an adjustment":       book("model: none, price: {per_"+u.unit+": 0}, adjust: [{when: {header.X-A: b}, price: {per_"+u.unit+": 1}}]", ""),
	}
}

// An account that has nothing never gets anything that costs something, and one
// that has what is held never absorbs an answer that stays within what was asked.
func TestUnitsOfTheAnswerAreHeld(t *testing.T) {
	for i := range unitRows {
		u := &unitRows[i]
		if u.header == nil {
			u.header = jsonType
		}
		for form, prices := range unitBooks(u, u.held) {
			t.Run(fmt.Sprintf("%s %s %d/%s", u.unit, u.path, i, form), func(t *testing.T) {
				for _, plan := range []string{"p", "none"} {
					g := gateWith(t, prices, plan, time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC))
					r := u.request(t)
					r.Header = map[string][]string{"X-A": {"b"}}
					c, err := g.m.Admit(t.Context(), r)
					if plan == "none" {
						var d *Refusal
						if !errors.As(err, &d) || d.Reason != ledger.InsufficientCredits {
							t.Fatalf("an account without credits: %v, want a refusal", err)
						}
						continue
					}
					if err != nil {
						t.Fatalf("an account with what is held: %v", err)
					}
					if c.Info().Held != u.held {
						t.Errorf("held %d, want %d", c.Info().Held, u.held)
					}
					f := g.ends(c, 200, u.header, u.answer)
					if x := g.record(c); x.Absorbed != 0 || x.Cost == 0 || x.Cost > u.held || f.Cost != x.Cost {
						t.Errorf("cost %d, absorbed %d, told %d; held %d", x.Cost, x.Absorbed, f.Cost, u.held)
					}
				}
			})
		}
	}
}

// Every unit that price files may name for an API is counted by a row here.
func TestUnitRowsAreComplete(t *testing.T) {
	for _, unit := range []string{"image", "character", "second", "page", "search_unit", "video", "web_search"} {
		if !slices.ContainsFunc(unitRows, func(u unitRow) bool { return u.unit == unit }) {
			t.Errorf("no row asks for %s", unit)
		}
	}
}
