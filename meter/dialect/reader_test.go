package dialect

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

var (
	sseHeader  = map[string][]string{"Content-Type": {"text/event-stream; charset=utf-8"}}
	jsonHeader = map[string][]string{"Content-Type": {"application/json"}}
)

// read runs an answer through a reader in pieces of at most size bytes.
func read(path string, status int, header map[string][]string, opt ReaderOptions, answer string, size int) (Result, string) {
	r := Detect("POST", path, "").NewReader(status, header, opt)
	var got []byte
	rnd := rand.New(rand.NewPCG(7, uint64(size)))
	for rest := []byte(answer); len(rest) > 0; {
		n := min(1+rnd.IntN(size), len(rest))
		got = append(got, r.Write(rest[:n])...)
		rest = rest[n:]
	}
	got = append(got, r.Close()...)
	return r.Result(), string(got)
}

func TestStripIsByteExact(t *testing.T) {
	const usage = `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}`
	blocks := []string{
		`data: {"choices":[],"prompt_filter_results":[{"a":1}]}`, // Azure's first
		`data: {"choices":[{"delta":{"content":"Hi \"usage\" 你"}}],"usage":null}`,
		": keep-alive",
		`data: {"choices":[{"delta":{"content":"` + strings.Repeat("long ", 20000) + `"}}]}`,
		"event: x\ndata: {\"choices\":\ndata: [{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}",
		usage,
		"data: [DONE]",
	}
	for _, eol := range []string{"\n", "\r\n", "\r"} {
		var all, want string
		for _, b := range blocks {
			text := strings.ReplaceAll(b+"\n\n", "\n", eol)
			all += text
			if b != usage {
				want += text
			}
		}
		for _, size := range []int{1, 2, 3, 7, 64, 5000, 1 << 20} {
			res, got := read("/v1/chat/completions", 200, sseHeader, ReaderOptions{StripInjectedUsage: true}, all, size)
			for _, wrong := range []string{"application/json", "text/plain"} {
				header := map[string][]string{"Content-Type": {wrong}}
				named, same := read("/v1/chat/completions", 200, header, ReaderOptions{StripInjectedUsage: true}, " \n"+all, size)
				if same != " \n"+want || named.Usage != res.Usage || named.Status != res.Status {
					t.Fatalf("%s: eol %q size %d: %d bytes, want %d; %+v", wrong, eol, size, len(same), len(want)+2, named)
				}
			}
			if got != want {
				t.Fatalf("eol %q size %d: %d bytes, want %d: …%q", eol, size, len(got), len(want), got[max(0, len(got)-300):])
			}
			if res.Status != StatusComplete || res.Usage.InputTotal.N != 9 || res.Usage.OutputTotal.N != 3 {
				t.Fatalf("eol %q size %d: %+v", eol, size, res)
			}
			if res.DeliveredTokens < 20000 {
				t.Fatalf("elided text not counted: %d", res.DeliveredTokens)
			}
		}
	}
}

func TestStripHoldsAtMostOneEvent(t *testing.T) {
	r := Detect("POST", "/v1/chat/completions", "").NewReader(200, sseHeader, ReaderOptions{StripInjectedUsage: true})
	for _, eol := range []string{"\n\n", "\r\n\r\n"} {
		event := `data: {"choices":[{"delta":{"content":"a"}}]}` + eol
		if got := r.Write([]byte(event)); string(got) != event {
			t.Errorf("a complete event was held back: %q", got)
		}
	}
}

func TestAnswers(t *testing.T) {
	const chat, messages, responses = "/v1/chat/completions", "/v1/messages", "/v1/responses"
	tests := []struct {
		name, path string
		status     int
		header     map[string][]string
		answer     string
		want       Status
		in, out    Count
	}{
		{"error with 200", chat, 200, jsonHeader, `{"error":{"message":"x","code":"overloaded"}}`, StatusError, Count{}, Count{}},
		{"null with 200", chat, 200, jsonHeader, `null`, StatusMissing, Count{}, Count{}},
		{"empty with 200", chat, 200, jsonHeader, ``, StatusPartial, Count{}, Count{}},
		{"usage null", chat, 200, jsonHeader, `{"choices":[],"usage":null}`, StatusMissing, Count{}, Count{}},
		{"zero usage is data", chat, 200, jsonHeader, `{"usage":{"prompt_tokens":5,"completion_tokens":0}}`, StatusComplete, Count{5, true}, Count{0, true}},
		{"negative usage", chat, 200, jsonHeader, `{"usage":{"prompt_tokens":-5,"completion_tokens":7}}`, StatusMissing, Count{}, Count{}},
		{"absurd usage", chat, 200, jsonHeader, `{"usage":{"prompt_tokens":5,"completion_tokens":1e300}}`, StatusMissing, Count{}, Count{}},
		{"text as usage", chat, 200, jsonHeader, `{"usage":"none"}`, StatusMissing, Count{}, Count{}},
		{"html", chat, 502, map[string][]string{"Content-Type": {"text/html"}}, `<html>`, StatusError, Count{}, Count{}},
		{"truncated json", chat, 200, jsonHeader, `{"usage":{"prompt_tokens":5,"compl`, StatusPartial, Count{}, Count{}},
		{"groq", chat, 200, sseHeader, "data: {\"x_groq\":{\"id\":\"r\"},\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" +
			"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"x_groq\":{\"usage\":{\"prompt_tokens\":18,\"completion_tokens\":39}}}\n\ndata: [DONE]\n\n", StatusComplete, Count{18, true}, Count{39, true}},
		{"last event without blank line", chat, 200, sseHeader, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n", StatusComplete, Count{1, true}, Count{2, true}},
		{"byte order mark", chat, 200, sseHeader, "\xEF\xBB\xBFdata:{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n", StatusComplete, Count{1, true}, Count{2, true}},
		{"continuous usage cut", chat, 200, sseHeader, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":4}}\n\ndata: {\"ch", StatusPartial, Count{30, true}, Count{4, true}},
		{"refusal", messages, 200, jsonHeader, `{"type":"message","content":[],"stop_reason":"refusal","usage":{"input_tokens":106,"output_tokens":1}}`, StatusFree, Count{106, true}, Count{1, true}},
		{"refusal in stream", messages, 200, sseHeader, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n" +
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\"},\"usage\":{\"output_tokens\":1}}\n\n", StatusFree, Count{9, true}, Count{1, true}},
		{"refusal after output", messages, 200, jsonHeader, `{"content":[{"type":"text","text":"I"}],"stop_reason":"refusal","usage":{"input_tokens":1,"output_tokens":1}}`, StatusComplete, Count{1, true}, Count{1, true}},
		{"null keeps", messages, 200, sseHeader, "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9}}}\n\n" +
			"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":null,\"output_tokens\":7}}\n\n", StatusComplete, Count{9, true}, Count{7, true}},
		{"iterations", messages, 200, jsonHeader, `{"content":[],"usage":{"input_tokens":5,"output_tokens":2,"iterations":[{"type":"compaction","input_tokens":100,"output_tokens":9},{"type":"message","input_tokens":5,"output_tokens":2}]}}`, StatusComplete, Count{105, true}, Count{11, true}},
		{"llama.cpp", "/completion", 200, sseHeader, "data: {\"content\":\"a\",\"stop\":false}\n\ndata: {\"content\":\"\",\"stop\":true,\"tokens_predicted\":2,\"tokens_evaluated\":7}\n\n", StatusComplete, Count{7, true}, Count{2, true}},
		{"tgi", "/generate_stream", 200, sseHeader, "data:{\"token\":{\"text\":\"a\"},\"details\":null}\n\ndata:{\"token\":{\"text\":\"b\"},\"details\":{\"finish_reason\":\"length\",\"generated_tokens\":2,\"input_length\":7}}\n\n", StatusComplete, Count{7, true}, Count{2, true}},
		{"assistants", "/v1/threads/t/runs", 200, sseHeader, "event: thread.run.completed\ndata: {\"id\":\"r\",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}}\n\n", StatusComplete, Count{7, true}, Count{2, true}},
		{"overloaded in stream", messages, 200, sseHeader, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n", StatusError, Count{}, Count{}},
		{"responses error event", responses, 200, sseHeader, "event: error\ndata: {\"type\":\"error\",\"code\":\"x\",\"message\":\"y\"}\n\n", StatusError, Count{}, Count{}},
		{"responses incomplete", responses, 200, sseHeader, "data: {\"type\":\"response.incomplete\",\"response\":{\"error\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n", StatusComplete, Count{3, true}, Count{4, true}},
		{"gemini array", "/v1beta/models/g:streamGenerateContent", 200, jsonHeader, "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a}]{\"}]}}]\n}\n,\r\n" +
			`{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":12,"totalTokenCount":20}}]`, StatusComplete, Count{12, true}, Count{8, true}},
		{"ollama cached prompt", "/api/chat", 200, map[string][]string{"Content-Type": {"application/x-ndjson"}}, "{\"done\":true,\"eval_count\":3}\n", StatusComplete, Count{0, true}, Count{3, true}},
		{"ollama error", "/api/chat", 200, map[string][]string{"Content-Type": {"application/x-ndjson"}}, "{\"error\":\"no memory\"}\n", StatusError, Count{}, Count{}},
		{"cohere stream", "/v2/chat", 200, sseHeader, "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"usage\":{\"billed_units\":{\"input_tokens\":12.0,\"output_tokens\":30.5},\"tokens\":{\"input_tokens\":512}}}}\n\n", StatusComplete, Count{12, true}, Count{31, true}},
		{"unknown protocol", "/app/paint", 200, jsonHeader, `{"error":{"is":"mine"},"usage":{"prompt_tokens":5}}`, StatusComplete, Count{}, Count{}},
		{"unknown stream", "/app/paint", 200, sseHeader, "data: hello\n\n", StatusComplete, Count{}, Count{}},
		{"deep nesting", chat, 200, jsonHeader, strings.Repeat("[", 100000), StatusPartial, Count{}, Count{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 3, 1 << 20} {
				if len(tt.answer) > 10000 && size < 100 {
					continue
				}
				res, got := read(tt.path, tt.status, tt.header, ReaderOptions{}, tt.answer, size)
				if res.Status != tt.want || res.Usage.InputTotal != tt.in || res.Usage.OutputTotal != tt.out {
					t.Fatalf("size %d: %+v", size, res)
				}
				if got != tt.answer {
					t.Fatalf("client got %q", got)
				}
			}
		})
	}
}

func TestUpstreamQuota(t *testing.T) {
	for body, want := range map[string]bool{
		`{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}`:                                                true,
		`{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`:                                                 false,
		`{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API"}}`: true,
	} {
		res, _ := read("/v1/chat/completions", 429, jsonHeader, ReaderOptions{}, body, 100)
		if res.UpstreamQuota != want || res.ErrorCode == "" {
			t.Errorf("%s: %v %q", body, res.UpstreamQuota, res.ErrorCode)
		}
	}
	if res, _ := read("/v1/chat/completions", 402, jsonHeader, ReaderOptions{}, `{}`, 100); !res.UpstreamQuota {
		t.Error("402 of the upstream is its quota")
	}
}

func TestLargeBodies(t *testing.T) {
	body := `{"created":1,"data":[{"b64_json":"` + strings.Repeat("QUJD", 1<<20) + `"}],"usage":{"input_tokens":5,"output_tokens":7,"total_tokens":12}}`
	res, _ := read("/v1/images/generations", 200, jsonHeader, ReaderOptions{MaxBody: 1 << 20}, body, 32<<10)
	if res.Status != StatusComplete || res.Usage.OutputTotal.N != 7 || res.Usage.Units.Images.N != 1 || res.Body != nil {
		t.Errorf("%+v", res)
	}
	r := Detect("POST", "/v1/images/generations", "").NewReader(200, sseHeader, ReaderOptions{})
	event := []byte(`data: {"type":"image_generation.completed","b64_json":"` + strings.Repeat("QUJD", 1<<18))
	r.Write(event)
	if cap(r.doc.Bytes()) > 16<<10 {
		t.Errorf("%d bytes of memory for an event of %d", cap(r.doc.Bytes()), len(event))
	}
}

func TestDisjoint(t *testing.T) {
	u := Usage{
		InputTotal: Count{100, true}, CacheRead: Count{30, true}, CacheWrite: Count{20, true}, CacheWrite1h: Count{15, true}, AudioIn: Count{10, true},
		OutputTotal: Count{50, true}, Reasoning: Count{60, true},
	}
	got := fmt.Sprint(u.Disjoint())
	if want := "[{input 40} {cached_input 30} {cache_write 5} {cache_write_1h 15} {audio_input 10} {reasoning 60}]"; got != want {
		t.Errorf("got %s", got)
	}
}

func FuzzSSE(f *testing.F) {
	f.Add([]byte("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\ndata: [DONE]\n\n"), 3)
	f.Add([]byte("event: a\ndata: {\"a\":\"\\\"\ndata: b\"}\n\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		size = 1 + int(uint(size)%64)
		for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/responses"} {
			whole, got := read(path, 200, sseHeader, ReaderOptions{}, string(data), 1<<20)
			if got != string(data) {
				t.Fatal("bytes changed")
			}
			cut, _ := read(path, 200, sseHeader, ReaderOptions{}, string(data), size)
			if whole.Usage != cut.Usage || whole.Status != cut.Status {
				t.Fatalf("%+v whole, %+v in pieces", whole, cut)
			}
			_, one := read(path, 200, sseHeader, ReaderOptions{StripInjectedUsage: true}, string(data), 1<<20)
			_, many := read(path, 200, sseHeader, ReaderOptions{StripInjectedUsage: true}, string(data), size)
			if one != many {
				t.Fatalf("stripped %q whole, %q in pieces", one, many)
			}
		}
	})
}

func FuzzJSONAnswer(f *testing.F) {
	f.Add([]byte(`{"usage":{"prompt_tokens":1,"completion_tokens":-2}}`), uint8(0))
	f.Add([]byte(`[{"usageMetadata":{"promptTokenCount":1}}]`), uint8(3))
	f.Add([]byte("{\"done\":true,\"eval_count\":3}\n"), uint8(4))
	types := []string{"application/json", "application/x-ndjson", "application/vnd.amazon.eventstream", "", "text/plain"}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		header := map[string][]string{"Content-Type": {types[int(which)%len(types)]}}
		for _, p := range append(profiles, &plain) {
			r := p.api(matched{}).NewReader(200, header, ReaderOptions{MaxBody: 64, KeepText: true})
			half := len(data) / 2
			got := append(bytes.Clone(r.Write(data[:half])), r.Write(data[half:])...)
			got = append(got, r.Close()...)
			res := r.Result()
			if !bytes.Equal(got, data) || res.Usage.InputTotal.N < 0 || res.Usage.OutputTotal.N < 0 || res.DeliveredTokens < 0 {
				t.Fatalf("%s: %+v", p.name, res)
			}
			for _, part := range res.Usage.Disjoint() {
				if part.N < 0 {
					t.Fatalf("%s: %+v", p.name, part)
				}
			}
		}
	})
}

func BenchmarkChatDelta(b *testing.B) {
	event := []byte(`data: {"id":"chatcmpl-s1","object":"chat.completion.chunk","created":1790000001,"model":"gpt-5.6-terra-2026-07-01","choices":[{"index":0,"delta":{"content":"The "},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n")
	r := Detect("POST", "/v1/chat/completions", "").NewReader(200, sseHeader, ReaderOptions{})
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		r.Write(event)
	}
}

func BenchmarkLargeEvent(b *testing.B) {
	event := []byte(`data: {"type":"image_generation.partial_image","b64_json":"` + strings.Repeat("QUJDREVG", 384<<10) + "\"}\n\n")
	r := Detect("POST", "/v1/images/generations", "").NewReader(200, sseHeader, ReaderOptions{})
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		for rest := event; len(rest) > 0; {
			n := min(32<<10, len(rest))
			r.Write(rest[:n])
			rest = rest[n:]
		}
	}
}

// FuzzPieces: whatever the framing, the result does not depend on how the bytes were cut.
func FuzzPieces(f *testing.F) {
	types := []string{"application/json", "application/x-ndjson", "application/vnd.amazon.eventstream", "", "text/plain", "text/event-stream"}
	for i := range types {
		f.Add([]byte("{\"done\":true,\"eval_count\":3}\n{\"usage\":{\"prompt_tokens\":1}}"), uint8(i), uint8(1))
		f.Add([]byte(`[{"usageMetadata":{"promptTokenCount":1}},{"a":"]}\""}]`), uint8(i), uint8(2))
		f.Add([]byte("\xEF\xBB\xBF"+strings.Repeat(" ", 20)+"data: {\"usage\":{\"prompt_tokens\":1}}\n\n"), uint8(i), uint8(0))
		f.Add([]byte("\n data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2},\"choices\":[]}\r\n\r\n"), uint8(i), uint8(3))
	}
	if frames := firstFile("../../testdata/wire/bedrock-converse-stream", []string{".response.bin"}); frames != nil {
		f.Add(frames, uint8(2), uint8(5))
	}
	paths := []string{"/v1/chat/completions", "/v1beta/models/g:streamGenerateContent", "/api/chat", "/model/m/converse-stream", "/model/m/invoke-with-response-stream", "/v2/chat"}
	f.Fuzz(func(t *testing.T, data []byte, kind, size uint8) {
		header := map[string][]string{"Content-Type": {types[int(kind)%len(types)]}}
		for _, path := range paths {
			whole, _ := read(path, 200, header, ReaderOptions{}, string(data), 1<<20)
			cut, got := read(path, 200, header, ReaderOptions{}, string(data), 1+int(size))
			if got != string(data) {
				t.Fatalf("%s: bytes changed", path)
			}
			if whole.Usage != cut.Usage || whole.Status != cut.Status || whole.Model != cut.Model {
				t.Fatalf("%s: %+v whole, %+v in pieces", path, whole, cut)
			}
		}
	})
}

// FuzzSocket: no message of a WebSocket brings a negative count or a panic.
func FuzzSocket(f *testing.F) {
	if lines := firstFile("../../testdata/wire/openai-realtime", []string{".ws.jsonl"}); lines != nil {
		f.Add(lines)
	}
	f.Add([]byte(`{"type":"response.created"}` + "\n" + `{"type":"response.output_audio.delta","delta":"AAAA"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := Detect("GET", "/v1/realtime", "").NewSocketReader()
		for line := range bytes.Lines(data) {
			r.Event(line)
			r.ClientEvent(line)
		}
		res := r.Result()
		if res.Usage.InputTotal.N < 0 || res.Usage.OutputTotal.N < 0 || res.PendingInput < 0 || res.DeliveredTokens < 0 {
			t.Fatalf("%+v", res)
		}
	})
}
