package dialect

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

func TestRequestAttacks(t *testing.T) {
	tests := []struct{ name, path, body, reject, field string }{
		{"duplicate model", "/v1/chat/completions", `{"model":"cheap","model":"dear"}`, RejectAmbiguous, "model"},
		{"escaped duplicate", "/v1/chat/completions", `{"model":"cheap","mod\u0065l":"dear"}`, RejectAmbiguous, "model"},
		{"case variant", "/v1/chat/completions", `{"model":"cheap","Model":"dear"}`, RejectAmbiguous, "model"},
		{"case variant alone", "/api/chat", `{"MODEL":"dear"}`, RejectAmbiguous, "model"},
		{"unicode fold", "/v1/chat/completions", `{"model":"a","ſtream":true}`, RejectAmbiguous, "stream"},
		{"duplicate limit", "/v1/messages", `{"model":"a","max_tokens":1,"max_tokens":90000}`, RejectAmbiguous, "max_tokens"},
		{"nested duplicate", "/api/chat", `{"model":"a","options":{"num_predict":1,"num_predict":9}}`, RejectAmbiguous, "options.num_predict"},
		{"negative", "/v1/chat/completions", `{"model":"a","max_tokens":-5}`, RejectInvalid, "max_tokens"},
		{"huge", "/v1/chat/completions", `{"model":"a","max_tokens":99999999999999999999999}`, RejectTooLarge, "max_tokens"},
		{"huge exponent", "/v1/chat/completions", `{"model":"a","max_tokens":1e400}`, RejectTooLarge, "max_tokens"},
		{"huge n", "/v1/chat/completions", `{"model":"a","n":1e9}`, RejectTooLarge, "n"},
		{"text", "/v1/chat/completions", `{"model":"a","max_tokens":"many"}`, RejectInvalid, "max_tokens"},
		{"object", "/v1/chat/completions", `{"model":"a","max_tokens":{"a":1}}`, RejectInvalid, "max_tokens"},
		{"null is absent", "/v1/chat/completions", `{"model":"a","max_tokens":null,"n":null}`, "", ""},
		{"unknown duplicates do not matter", "/v1/chat/completions", `{"model":"a","user":"1","user":"2"}`, "", ""},
		{"both limits of chat", "/v1/chat/completions", `{"model":"a","max_tokens":1,"max_completion_tokens":90000}`, "", ""},
		{"unlimited in ollama", "/api/chat", `{"model":"a","options":{"num_predict":-1}}`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info := Detect("POST", tt.path, "").ReadRequest(JSONBody([]byte(tt.body)))
			if info.Reject != tt.reject || info.Field != tt.field {
				t.Errorf("got %q %q, want %q %q", info.Reject, info.Field, tt.reject, tt.field)
			}
		})
	}
}

func TestRequestLimits(t *testing.T) {
	tests := []struct {
		path, body string
		limit      Count
		n          int64
	}{
		{"/v1/chat/completions", `{"max_tokens":1,"max_completion_tokens":90000}`, Count{90000, true}, 1},
		{"/v1/chat/completions", `{"max_tokens":1e4,"n":3}`, Count{10000, true}, 3},
		{"/v1/chat/completions", `{"max_tokens":"9999"}`, Count{9999, true}, 1},
		{"/v1/chat/completions", `{"max_tokens":0,"n":0}`, Count{}, 1}, // some servers take 0 for no limit
		{"/v1/responses", `{"max_output_tokens":0}`, Count{}, 1},
		{"/v1/completions", `{"max_tokens":0}`, Count{0, true}, 1}, // with echo, 0 is meant
		{"/v1/completions", `{"prompt":[[1,2],[3]],"n":2,"best_of":4,"max_tokens":5}`, Count{5, true}, 8},
		{"/v1/completions", `{"prompt":[1,2,3],"max_tokens":5}`, Count{5, true}, 1},
		{"/api/generate", `{"options":{"num_predict":-2}}`, Count{}, 1},
		{"/v1beta/models/g:generateContent", `{"generation_config":{"max_output_tokens":7,"candidate_count":2}}`, Count{7, true}, 2},
		{"/gateway/v1/responses", `{"max_output_tokens":7}`, Count{7, true}, 1},
	}
	for _, tt := range tests {
		info := Detect("POST", tt.path, "").ReadRequest(JSONBody([]byte(tt.body)))
		if info.MaxOutput != tt.limit || info.N != tt.n || info.Reject != "" {
			t.Errorf("%s %s: %+v", tt.path, tt.body, info)
		}
	}
}

func TestMultipartRequest(t *testing.T) {
	body := "--b0\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b0\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n" +
		"--b0\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--b0--\r\n"
	api := Detect("POST", "/v1/audio/transcriptions", "")
	if info := api.ReadRequest(ReadBody("multipart/form-data; boundary=b0", []byte(body))); info.Model != "whisper-1" || !info.Stream || info.Reject != "" {
		t.Errorf("%+v", info)
	}
	if e := api.EstimateInput(ReadBody("multipart/form-data; boundary=b0", []byte(body))); e.Media != 32 || e.Text > 40 {
		t.Errorf("%+v", e)
	}
	duplicateKey := strings.Replace(body, "--b0--", "--b0\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ndear\r\n--b0--", 1)
	if info := api.ReadRequest(ReadBody("multipart/form-data; boundary=b0", []byte(duplicateKey))); info.Reject != RejectAmbiguous {
		t.Errorf("two models accepted: %+v", info)
	}
}

func TestDetect(t *testing.T) {
	tests := []struct{ method, path, hint, name, family, model string }{
		{"POST", "/v1/chat/completions", "", "openai-chat", FamilyOpenAI, ""},
		{"POST", "/ai/openai/v1/chat/completions", "", "openai-chat", FamilyOpenAI, ""},
		{"POST", "/v1/chat/completions", "mistral", "mistral-chat", FamilyOpenAI, ""},
		{"POST", "/whatever", "openai-chat", "openai-chat", FamilyOpenAI, ""},
		{"POST", "/v1/chat/completions", "plain", "plain", FamilyOpenAI, ""},
		{"POST", "/openai/deployments/prod/chat/completions", "", "azure-chat", FamilyOpenAI, "prod"},
		{"POST", "/v1/messages", "", "anthropic-messages", FamilyAnthropic, ""},
		{"POST", "/v1/messages/batches", "", "anthropic-batch", FamilyAnthropic, ""},
		{"GET", "/v1/messages/batches/b1/results", "", "anthropic-batch-results", FamilyAnthropic, ""},
		{"GET", "/v1/files/f1/content", "", "openai-batch-results", FamilyOpenAI, ""},
		{"GET", "/v1/files/f1", "", "openai-read", FamilyOpenAI, ""},
		{"GET", "/v1/realtime", "", "openai-realtime", FamilyOpenAI, ""},
		{"POST", "/v1/responses/input_tokens", "", "openai-responses-count", FamilyOpenAI, ""},
		{"GET", "/v1/responses/resp_1", "", "openai-responses-poll", FamilyOpenAI, ""},
		{"GET", "/v1/models", "", "openai-read", FamilyOpenAI, ""},
		{"GET", "/v1/videos/v1/content", "", "openai-read", FamilyOpenAI, ""},
		{"POST", "/v1beta/models/gemini-3:streamGenerateContent", "", "gemini-generate", FamilyGemini, "gemini-3"},
		{"POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@1:rawPredict", "", "anthropic-vertex", FamilyAnthropic, "claude-x@1"},
		{"POST", "/model/arn:aws:bedrock:us:1:inference-profile/x/converse", "", "bedrock-converse", FamilyPlain, "arn:aws:bedrock:us:1:inference-profile/x"},
		{"POST", "/v1/frobnicate", "", "plain", FamilyOpenAI, ""},
		{"POST", "/background-removal", "", "plain", FamilyPlain, ""},
		{"GET", "/v1/chat/completions", "", "openai-read", FamilyOpenAI, ""},
		{"POST", "/app", "fal", "fal", FamilyPlain, "app"},
		{"POST", "", "", "plain", FamilyPlain, ""},
	}
	for _, tt := range tests {
		a := Detect(tt.method, tt.path, tt.hint)
		if a.Name != tt.name || a.Family != tt.family || a.PathModel != tt.model {
			t.Errorf("%s %s (%s): %s %s %q", tt.method, tt.path, tt.hint, a.Name, a.Family, a.PathModel)
		}
	}
}

func TestPrepare(t *testing.T) {
	tests := []struct {
		path, body string
		edit       Edit
		want       string
		injected   bool
	}{
		{"/v1/chat/completions", `{"model":"a","stream":true}`, Edit{RequestUsage: true}, `{"model":"a","stream":true,"stream_options":{"include_usage":true}}`, true},
		{"/v1/chat/completions", "{ \"stream\" : true\n}\n", Edit{RequestUsage: true}, "{ \"stream\" : true\n,\"stream_options\":{\"include_usage\":true}}\n", true},
		{"/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":false,"x":1}}`, Edit{RequestUsage: true}, `{"stream":true,"stream_options":{"include_usage":true,"x":1}}`, true},
		{"/v1/chat/completions", `{"stream":true,"stream_options":null}`, Edit{RequestUsage: true}, `{"stream":true,"stream_options":{"include_usage":true}}`, true},
		{"/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":true}}`, Edit{RequestUsage: true}, "", false},
		{"/v1/chat/completions", `{"stream":false}`, Edit{RequestUsage: true}, "", false},
		{"/v1/chat/completions", `{"model":"mistral-large-latest","stream":true}`, Edit{RequestUsage: true}, "", false},
		{"/v1/responses", `{"stream":true}`, Edit{RequestUsage: true}, "", false},
		{"/v1/chat/completions", `{}`, Edit{MaxOutput: 9}, `{"max_completion_tokens":9}`, false},
		{"/v1/chat/completions", `{"max_tokens":10, "a":[1]}`, Edit{MaxOutput: 9}, `{"max_tokens":9, "a":[1]}`, false},
		{"/v1/chat/completions", `{"max_tokens":8}`, Edit{MaxOutput: 9}, "", false},
		{"/v1/chat/completions", `{"max_tokens":null}`, Edit{MaxOutput: 9}, `{"max_tokens":null,"max_completion_tokens":9}`, false},
		{"/v1/chat/completions", `{"max_tokens":0}`, Edit{MaxOutput: 9}, `{"max_tokens":9}`, false},
		{"/v1/messages", `{"max_tokens":100}`, Edit{MaxOutput: 9}, `{"max_tokens":9}`, false},
		{"/api/chat", `{"model":"a"}`, Edit{MaxOutput: 9}, `{"model":"a","options":{"num_predict":9}}`, false},
		{"/api/chat", `{"options":{"num_predict":-1}}`, Edit{MaxOutput: 9}, `{"options":{"num_predict":9}}`, false},
		{"/v1beta/models/g:generateContent", `{"contents":[],"generationConfig":{"a":1}}`, Edit{MaxOutput: 9}, `{"contents":[],"generationConfig":{"a":1,"maxOutputTokens":9}}`, false},
		{"/v1/chat/completions", `{"stream":true}`, Edit{RequestUsage: true, MaxOutput: 5}, `{"stream":true,"max_completion_tokens":5,"stream_options":{"include_usage":true}}`, true},
		{"/v1/embeddings", `{"input":"a"}`, Edit{RequestUsage: true, MaxOutput: 5}, "", false},
	}
	for _, tt := range tests {
		body := []byte(tt.body)
		out, injected, err := Detect("POST", tt.path, "").Prepare(body, tt.edit)
		want := tt.want
		if want == "" {
			want = tt.body
			if &out[0] != &body[0] {
				t.Errorf("%s: copied without a change", tt.body)
			}
		}
		if err != nil || string(out) != want || injected != tt.injected {
			t.Errorf("%s: %s %v %v, want %s", tt.body, out, injected, err, want)
		}
		if string(body) != tt.body {
			t.Errorf("%s: the caller's body was changed to %s", tt.body, body)
		}
	}
}

func FuzzPrepare(f *testing.F) {
	f.Add([]byte(`{"stream":true,"max_tokens":5,"stream_options":{"include_usage":false}}`), int64(3), 0)
	f.Add([]byte(`{"options":null}`), int64(3), 2)
	f.Add([]byte(`{"generationConfig":{}}`), int64(3), 3)
	paths := []string{"/v1/chat/completions", "/v1/messages", "/api/chat", "/v1beta/models/g:generateContent"}
	f.Fuzz(func(t *testing.T, body []byte, limit int64, which int) {
		api := Detect("POST", paths[uint(which)%4], "")
		info := api.ReadRequest(JSONBody(body))
		before := bytes.Clone(body)
		out, injected, err := api.Prepare(body, Edit{RequestUsage: true, MaxOutput: limit & 0xFFFF})
		if !bytes.Equal(body, before) {
			t.Fatal("the caller's body was changed")
		}
		var in, res map[string]any
		if json.Unmarshal(before, &in) != nil || in == nil || err != nil || info.Reject != "" {
			return
		}
		if json.Unmarshal(out, &res) != nil {
			t.Fatalf("%q became invalid: %q", before, out)
		}
		again := api.ReadRequest(JSONBody(out))
		if limit&0xFFFF > 0 && (!again.MaxOutput.OK || again.MaxOutput.N > limit&0xFFFF) {
			t.Fatalf("limit not kept: %q", out)
		}
		if injected && !again.AskedForUsage {
			t.Fatalf("usage not asked for: %q", out)
		}
		for _, edited := range []string{"stream_options", "max_tokens", "max_completion_tokens", "options", "generationConfig", "generation_config"} {
			delete(in, edited)
			delete(res, edited)
		}
		if !reflect.DeepEqual(in, res) {
			t.Fatalf("%q became %q", before, out)
		}
	})
}

// FuzzSetMember: the member is set, the document stays valid, and no other member changes.
func FuzzSetMember(f *testing.F) {
	for _, body := range []string{`{}`, ` { "a" : 1 } `, `{"options":null}`, `{"options":{"x":1,"limit":2}}`, `{"options":{ }}`, `{"options":[1]}`, `{"limit":{"a":"}"},"b":"\"}"}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"limit", "options.limit"} {
			out, err := SetMember(body, path, []byte("77"))
			if err != nil {
				continue
			}
			if got := gjson.GetBytes(out, path); !json.Valid(out) || got.Raw != "77" {
				t.Fatalf("%q became %q: %s is %q", body, out, path, got.Raw)
			}
			name, _, _ := strings.Cut(path, ".")
			gjson.ParseBytes(body).ForEach(func(key, v gjson.Result) bool {
				if key.Str != name && gjson.GetBytes(out, gjson.Escape(key.Str)).Raw != gjson.GetBytes(body, gjson.Escape(key.Str)).Raw {
					t.Fatalf("%q became %q: %s has changed", body, out, key.Str)
				}
				return true
			})
		}
	})
}
