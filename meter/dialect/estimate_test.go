package dialect

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"os"
	"strings"
	"testing"
)

func estimate(path, body string) InputEstimate {
	return Detect("POST", path, "").EstimateInput(JSONBody([]byte(body)))
}

func TestEstimateBounds(t *testing.T) {
	prose := strings.Repeat("The ferry left at dawn and the fog delayed it by twenty minutes. ", 500)
	chat := func(content string) string {
		return `{"model":"gpt-5","messages":[{"role":"user","content":"` + content + `"}]}`
	}
	e := estimate("/v1/chat/completions", chat(prose))
	if exact := int64(13 * 500); e.Text < exact || e.Text > exact*17/10 {
		t.Errorf("prose: %d tokens, about %d exact", e.Text, exact)
	}
	for _, text := range []string{strings.Repeat("!$", 5000), strings.Repeat("aO", 5000), strings.Repeat("1 ", 5000), strings.Repeat("𓀀", 3000), strings.Repeat(`\u4f60`, 3000), "", "a"} {
		e := estimate("/v1/chat/completions", chat(text))
		if e.Text > e.Bytes || e.Text < e.Bytes/8 {
			t.Errorf("%.10q…: %d tokens for %d bytes", text, e.Text, e.Bytes)
		}
	}
	if e := estimate("/v1/embeddings", `{"model":"e","input":[[1,22,333],[4]]}`); e.Text != 4 {
		t.Errorf("token ids: %+v", e)
	}
	if e := estimate("/v1/messages", `{"model":"claude-opus-5","tools":[{"type":"web_search_20250305"}]}`); e.Overhead != toolOverhead || !e.Hidden {
		t.Errorf("tools: %+v", e)
	}
}

// png makes the header of a PNG, padded so that it is treated as a medium.
func png(w, h uint32) string {
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), make([]byte, 1000)...)
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	return base64.StdEncoding.EncodeToString(b)
}

func TestEstimateMedia(t *testing.T) {
	image := func(url string) string {
		return `{"model":"gpt-6","messages":[{"content":[{"type":"image_url","image_url":{"url":"` + url + `"}}]}]}`
	}
	anthropic := func(data string) string {
		return `{"model":"claude-opus-5","messages":[{"content":[{"type":"image","source":{"type":"base64","data":"` + data + `"}}]}]}`
	}
	tests := []struct {
		name, path, body string
		media            int64
	}{
		{"openai patches", "/v1/chat/completions", image("data:image/png;base64," + png(1024, 1024)), 1229},
		{"openai 256", "/v1/chat/completions", image("data:image/png;base64," + png(256, 256)), 77},
		{"openai linked", "/v1/chat/completions", image("https://x.example/a.png"), 14400},
		{"anthropic", "/v1/messages", anthropic(png(1024, 1024)), 1369},
		{"gemini", "/v1beta/models/gemini-3:generateContent", `{"contents":[{"parts":[{"inlineData":{"data":"` + png(9, 9) + `"}}]}]}`, 1120},
		{"broken image", "/v1/chat/completions", image("data:image/png;base64," + png(0, 0)), 14400},
		{"base64 as text is text", "/v1/chat/completions", `{"messages":[{"content":"` + png(1, 1) + `"}]}`, 0},
	}
	for _, tt := range tests {
		if e := estimate(tt.path, tt.body); e.Media != tt.media {
			t.Errorf("%s: %+v, want %d", tt.name, e, tt.media)
		}
	}
	pdf := "%PDF-1.7 " + strings.Repeat("x", 9000) + "<< /Type /Pages /Count 12 >>" + strings.Repeat("y", 9000)
	if e := estimate("/v1/messages", anthropic(base64.StdEncoding.EncodeToString([]byte(pdf)))); e.Media != 12*4600 {
		t.Errorf("pdf: %+v", e)
	}
}

func FuzzEstimate(f *testing.F) {
	f.Add([]byte(`{"model":"a","messages":[{"content":"hi \u4f60\ud83d\ude00"}]}`))
	f.Add([]byte(`{"a":"data:image/png;base64,` + png(3, 4) + `"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/v1/chat/completions", "/v1/embeddings", "/v1/messages"} {
			e := Detect("POST", path, "").EstimateInput(JSONBody(body))
			if e.Text < 0 || e.Text > int64(len(body)) || e.Media < 0 || e.Total() < 0 {
				t.Fatalf("%+v", e)
			}
		}
	})
}

func benchBody(b *testing.B) []byte {
	b.Helper()
	source, err := os.ReadFile("reader_test.go")
	if err != nil {
		b.Fatal(err)
	}
	prose := bytes.Repeat([]byte("The ferry left at dawn and the fog delayed it by twenty minutes; nobody minded. "), 650)
	code := bytes.Repeat(source, 8)[:50<<10]
	body := append([]byte(`{"model":"gpt-5","messages":[{"role":"user","content":`), quote(string(prose)+string(code))...)
	return append(body, "}]}"...)
}

func BenchmarkEstimate100KB(b *testing.B) {
	body := benchBody(b)
	api := Detect("POST", "/v1/chat/completions", "")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		api.EstimateInput(JSONBody(body))
	}
}

func BenchmarkReadRequest100KB(b *testing.B) {
	body := benchBody(b)
	api := Detect("POST", "/v1/chat/completions", "")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		api.ReadRequest(JSONBody(body))
	}
}

// Servers read a name with escapes in it like one without.
func TestEscapesDoNotHideInput(t *testing.T) {
	if e := estimate("/v1/responses", `{"model":"gpt-5","previ\u006fus_response_id":"resp_1","input":"go on"}`); !e.Hidden {
		t.Errorf("a stored conversation: %+v", e)
	}
	if e := estimate("/v1/chat/completions", `{"model":"gpt-5","t\u006fols":[{"type":"function","function":{"name":"f"}}],"messages":[]}`); e.Overhead != toolOverhead {
		t.Errorf("tools: %+v", e)
	}
}
