package dialect

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Cases that came with the design, and further ones of our own.
var wireDirs = []string{"../../testdata/wire", "testdata/wire"}

// expectation is one .expected.json, see testdata/wire/README.md.
type expectation struct {
	Case    string
	Profile string
	Request *struct {
		Method, Path string
		Model        *string
		Max          *int64 `json:"max_output_tokens"`
		N            int64
		Stream       bool
	}
	Response *struct {
		Status      int
		ContentType string `json:"content_type"`
		Headers     map[string]string
	}
	Outcome string
	Charge  string
	Usage   map[string]json.RawMessage
}

// answerSuffixes in the order in which a case may have one.
var answerSuffixes = []string{".response.json", ".response.sse", ".response.ndjson", ".response.bin", ".response.html"}

func TestWireFixtures(t *testing.T) {
	for _, dir := range wireDirs {
		testWire(t, dir)
	}
}

func testWire(t *testing.T, dir string) {
	var index []string
	readJSON(t, filepath.Join(dir, "INDEX.json"), &index)
	var uncovered []string
	for _, name := range index {
		name = filepath.Join(dir, name)
		var want expectation
		readJSON(t, name+".expected.json", &want)
		if messages := firstFile(name, []string{".ws.jsonl"}); messages != nil {
			t.Run(want.Case, func(t *testing.T) { checkSocket(t, want, messages) })
			continue
		}
		answer := firstFile(name, answerSuffixes)
		if answer == nil && want.Response != nil {
			uncovered = append(uncovered, name+": "+want.Response.ContentType)
			continue
		}
		t.Run(want.Case, func(t *testing.T) {
			if path, err := url.PathUnescape(want.Request.Path); err == nil {
				want.Request.Path = path // callers pass decoded paths
			}
			checkRequest(t, name, want)
			if want.Response == nil {
				return
			}
			api := Detect(want.Request.Method, want.Request.Path, "")
			for round := range 40 {
				size := 1
				if round > 0 {
					size = 1 << (round % 13)
				}
				res := feed(t, api, name, want, answer, size, rand.New(rand.NewPCG(1, uint64(round))))
				checkUsage(t, want, res)
				if t.Failed() {
					t.Fatalf("in chunks of up to %d", size)
				}
			}
			if poll := firstFile(name, []string{".poll.response.json"}); poll != nil {
				checkPoll(t, name, want, poll)
			}
		})
	}
	t.Logf("%s: %d of %d cases; not covered: %q", dir, len(index)-len(uncovered), len(index), uncovered)
}

func checkRequest(t *testing.T, name string, want expectation) {
	t.Helper()
	body := firstFile(name, []string{".request.json", ".request.multipart"})
	if body == nil {
		return
	}
	info := Detect(want.Request.Method, want.Request.Path, "").ReadRequest(JSONBody(body))
	if want.Outcome == "reject" {
		if info.Reject == "" && (!info.MaxOutput.OK || !strings.Contains(name, "string-number")) {
			t.Errorf("accepted as %+v", info)
		}
		return
	}
	if info.Reject != "" {
		t.Errorf("rejected: %s %s", info.Reject, info.Field)
	}
	model := ""
	if want.Request.Model != nil {
		model = *want.Request.Model
	}
	limit := Count{}
	if want.Request.Max != nil {
		limit = Count{*want.Request.Max, true}
	}
	if info.Model != model || info.MaxOutput != limit || info.N != want.Request.N || info.Stream != want.Request.Stream {
		t.Errorf("request read as %+v, want model %q max %v n %d stream %v", info, model, limit, want.Request.N, want.Request.Stream)
	}
}

// feed gives the answer to a reader in random pieces and checks what the client gets.
func feed(t *testing.T, api *API, name string, want expectation, answer []byte, size int, rnd *rand.Rand) Result {
	t.Helper()
	header := map[string][]string{"Content-Type": {want.Response.ContentType}}
	for k, v := range want.Response.Headers {
		header[k] = []string{v}
	}
	client := firstFile(name, []string{".client.sse"})
	r := api.NewReader(want.Response.Status, header, ReaderOptions{KeepText: true, StripInjectedUsage: client != nil})
	if client == nil {
		client = answer
	}
	var got []byte
	for rest := answer; len(rest) > 0; {
		n := min(1+rnd.IntN(size), len(rest))
		got = append(got, r.Write(bytes.Clone(rest[:n]))...)
		r.Result()
		rest = rest[n:]
	}
	got = append(got, r.Close()...)
	if !bytes.Equal(got, client) {
		t.Errorf("client got %q", got)
	}
	return r.Result()
}

func checkUsage(t *testing.T, want expectation, res Result) {
	t.Helper()
	if string(res.Status) != want.Outcome {
		t.Errorf("status %s, want %s (%+v)", res.Status, want.Outcome, res.Usage)
	}
	u := res.Usage
	check := func(key string, raw json.RawMessage, got Count) {
		t.Helper()
		text := strings.Trim(string(raw), `"`)
		if text == "null" {
			if got.OK {
				t.Errorf("%s = %d, want not reported", key, got.N)
			}
			return
		}
		if text == "" {
			if got.N != 0 {
				t.Errorf("%s = %d, want nothing", key, got.N)
			}
			return
		}
		if n, ok := parseNumber([]byte(text), scaleOf(map[bool]count{true: cMillis}[key == "seconds"])); !ok || !got.OK || got.N != n {
			t.Errorf("%s = %v, want %s", key, got, text)
		}
	}
	plainCounts := map[string]Count{
		"input_total": u.InputTotal, "output_total": u.OutputTotal, "cache_read": u.CacheRead, "cache_write": u.CacheWrite,
		"cache_write_5m": u.CacheWrite5m, "cache_write_1h": u.CacheWrite1h, "tool_use": u.ToolUse, "audio_in": u.AudioIn,
		"image_in": u.ImageIn, "reasoning": u.Reasoning, "audio_out": u.AudioOut, "image_out": u.ImageOut,
		"images": u.Units.Images, "video": u.Units.Videos, "seconds": u.Units.Millis, "search_units": u.Units.SearchUnits, "pages": u.Units.Pages,
	}
	for key, got := range plainCounts {
		check(key, want.Usage[key], got)
	}
	if raw, ok := want.Usage["text_in"]; ok {
		check("text_in", raw, u.TextIn)
	}
	if raw := want.Usage["by_model"]; raw != nil {
		checkModels(t, raw, res.ByModel)
	}
	var requests map[string]json.RawMessage
	if raw := want.Usage["requests"]; raw != nil {
		if err := json.Unmarshal(raw, &requests); err != nil {
			t.Fatal(err)
		}
	}
	check("web_search", requests["web_search"], u.Requests.WebSearch)
	check("search", requests["search"], u.Requests.Search)
	check("sources", requests["sources"], u.Requests.Sources)
	if raw := want.Usage["cost_usd"]; string(raw) != u.CostUSD {
		t.Errorf("cost %q, want %s", u.CostUSD, raw)
	}
	if raw := want.Usage["service_tier"]; raw != nil && string(raw) != strconv.Quote(res.ServiceTier) {
		t.Errorf("service tier %q, want %s", res.ServiceTier, raw)
	}
	if raw := want.Usage["est_output_text"]; raw != nil {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil || res.DeliveredText != text {
			t.Errorf("delivered %q, want %q", res.DeliveredText, text)
		}
		if res.DeliveredTokens < 2 || res.DeliveredTokens > int64(len(text)) {
			t.Errorf("delivered tokens %d", res.DeliveredTokens)
		}
	}
	if want.Charge == "estimate-input" && !res.BilledInput {
		t.Error("input is billed here")
	}
}

// checkModels compares the usage of each model.
func checkModels(t *testing.T, raw json.RawMessage, got []ModelUsage) {
	t.Helper()
	var want []struct {
		Model  string
		Input  int64 `json:"input_total"`
		Output int64 `json:"output_total"`
	}
	if err := json.Unmarshal(raw, &want); err != nil || len(want) != len(got) {
		t.Errorf("%v: by model %+v, want %s", err, got, raw)
		return
	}
	for i, w := range want {
		if g := got[i]; g.Model != w.Model || g.Usage.InputTotal.N != w.Input || g.Usage.OutputTotal.N != w.Output {
			t.Errorf("by model: %+v, want %+v", g, w)
		}
	}
}

// checkSocket reads a WebSocket's messages.
func checkSocket(t *testing.T, want expectation, messages []byte) {
	t.Helper()
	r := Detect(want.Request.Method, want.Request.Path, "").NewSocketReader()
	for line := range bytes.Lines(messages) {
		r.Event(line)
	}
	r.Close()
	res := r.Result()
	transcription := want.Usage["transcription"]
	delete(want.Usage, "transcription")
	checkUsage(t, want, res)
	var counts struct {
		Input   int64       `json:"input_total"`
		Output  int64       `json:"output_total"`
		Seconds json.Number `json:"seconds"`
	}
	if err := json.Unmarshal(transcription, &counts); err != nil || len(res.ByModel) != 2 {
		t.Fatalf("%v %+v", err, res.ByModel)
	}
	u := res.ByModel[1].Usage
	millis, _ := parseNumber([]byte(counts.Seconds.String()), 1000)
	if u.InputTotal.N != counts.Input || u.OutputTotal.N != counts.Output || u.Units.Millis.N != millis {
		t.Errorf("transcription %+v, want %s", u, transcription)
	}
	if res.Model != *want.Request.Model {
		t.Errorf("model %q", res.Model)
	}
}

// checkPoll reads the later answer of a job with the poll API of its kind.
func checkPoll(t *testing.T, name string, want expectation, poll []byte) {
	t.Helper()
	paths := map[string]string{
		"openai-batch": "/v1/batches/batch_1", "openai-responses": "/v1/responses/resp_01", "replicate": "/v1/predictions/pr1", "openai-video": "/v1/videos/video_1",
	}
	api := Detect("GET", paths[want.Profile], "")
	r := api.NewReader(200, map[string][]string{"Content-Type": {"application/json"}}, ReaderOptions{})
	r.Write(poll)
	r.Close()
	res := r.Result()
	if res.Status != StatusComplete || res.JobID == "" || !res.Usage.reported() {
		t.Errorf("%s: poll as %s read as %+v", name, api.Name, res)
	}
}

func firstFile(name string, suffixes []string) []byte {
	for _, s := range suffixes {
		if b, err := os.ReadFile(name + s); err == nil {
			return b
		}
	}
	return nil
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
