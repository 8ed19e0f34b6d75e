package mockai

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"github.com/farebox-dev/farebox/meter/dialect"
)

func start(t *testing.T) (*Mock, string, openai.Client, anthropic.Client) {
	t.Helper()
	m := New(Options{Pace: -1, SlowFor: 5 * time.Second})
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return m, server.URL,
		openai.NewClient(option.WithBaseURL(server.URL+"/v1/"), option.WithAPIKey("k"), option.WithMaxRetries(0)),
		anthropic.NewClient(anthropicoption.WithBaseURL(server.URL), anthropicoption.WithAPIKey("k"), anthropicoption.WithMaxRetries(0))
}

func chatParams(model string, limit int64) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello there")}, MaxCompletionTokens: openai.Int(limit),
	}
}

// helloTokens: one message, 11 bytes of text.
const helloTokens = 3 + 3

func TestOpenAIChat(t *testing.T) {
	m, _, client, _ := start(t)
	answer, err := client.Chat.Completions.New(t.Context(), chatParams("gpt-5-mini", 10))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Usage.PromptTokens != helloTokens || answer.Usage.CompletionTokens != 10 || answer.Choices[0].FinishReason != "length" {
		t.Errorf("%+v", answer.Usage)
	}
	for _, asked := range []bool{true, false} {
		params := chatParams("long-stream", 500)
		if asked {
			params.StreamOptions.IncludeUsage = openai.Bool(true)
		}
		stream := client.Chat.Completions.NewStreaming(t.Context(), params)
		acc := openai.ChatCompletionAccumulator{}
		for stream.Next() {
			acc.AddChunk(stream.Current())
		}
		if stream.Err() != nil || len(strings.Fields(acc.Choices[0].Message.Content)) != 400 {
			t.Errorf("%v, %d words", stream.Err(), len(strings.Fields(acc.Choices[0].Message.Content)))
		}
		if got := acc.Usage.CompletionTokens; asked && got != 400 || !asked && got != 0 {
			t.Errorf("asked %v: usage %d", asked, got)
		}
	}
	if m.Requests() != 3 || m.Path("/v1/chat/completions") != 3 || m.Model("long-stream") != 2 || !strings.Contains(string(m.Last().Body), "long-stream") {
		t.Errorf("%d requests, last %+v", m.Requests(), m.Last())
	}
}

func TestOpenAIOthers(t *testing.T) {
	_, _, client, _ := start(t)
	params := responses.ResponseNewParams{Model: "gpt-5", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello there")}}
	answer, err := client.Responses.New(t.Context(), params)
	if err != nil || answer.Usage.OutputTokens != usualWords || answer.Usage.InputTokens != 3 {
		t.Fatalf("%v %+v", err, answer)
	}
	stream := client.Responses.NewStreaming(t.Context(), params)
	var text strings.Builder
	var used int64
	for stream.Next() {
		event := stream.Current()
		text.WriteString(event.Delta)
		used = max(used, event.Response.Usage.OutputTokens)
	}
	if stream.Err() != nil || text.String() != answer.OutputText() || used != usualWords {
		t.Errorf("%v %q %d", stream.Err(), text.String(), used)
	}
	embeddings, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{Model: "e", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"ab", "cd"}}})
	if err != nil || len(embeddings.Data) != 2 || embeddings.Usage.TotalTokens != 1 {
		t.Errorf("%v %+v", err, embeddings)
	}
	images, err := client.Images.Generate(t.Context(), openai.ImageGenerateParams{Model: "gpt-image-2", Prompt: "a pier", N: openai.Int(2)})
	if err != nil || len(images.Data) != 2 || images.Usage.OutputTokens != 544 {
		t.Errorf("%v %+v", err, images)
	}
	if models, err := client.Models.List(t.Context()); err != nil || len(models.Data) == 0 {
		t.Errorf("%v", err)
	}
}

func TestAnthropic(t *testing.T) {
	_, _, _, client := start(t)
	params := anthropic.MessageNewParams{
		Model: "claude-sonnet-5", MaxTokens: 10, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hello there"))},
	}
	answer, err := client.Messages.New(t.Context(), params)
	if err != nil || answer.Usage.InputTokens != helloTokens || answer.Usage.OutputTokens != 10 || answer.StopReason != "max_tokens" {
		t.Fatalf("%v %+v", err, answer)
	}
	stream := client.Messages.NewStreaming(t.Context(), params)
	message := anthropic.Message{}
	for stream.Next() {
		if err := message.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if stream.Err() != nil || message.Usage.OutputTokens != 10 || message.Content[0].Text != answer.Content[0].Text {
		t.Errorf("%v %+v", stream.Err(), message)
	}
	params.Model = "claude-error-stream"
	if stream = client.Messages.NewStreaming(t.Context(), params); drain(stream.Next) == 0 || stream.Err() == nil {
		t.Error("an error inside the stream was not raised")
	}
}

func drain(next func() bool) (n int) {
	for next() {
		n++
	}
	return n
}

func TestFailures(t *testing.T) {
	m, url, client, _ := start(t)
	for model, status := range map[string]int{"fail-500": 500, "gpt-fail-502": 502, "fail-422": 422, "fail-429": 429, "quota": 429} {
		_, err := client.Chat.Completions.New(t.Context(), chatParams(model, 10))
		var api *openai.Error
		if !errors.As(err, &api) || api.StatusCode != status {
			t.Errorf("%s: %v", model, err)
		}
	}
	for _, model := range []string{"cut-stream", "error-stream"} {
		stream := client.Chat.Completions.NewStreaming(t.Context(), chatParams(model, 20))
		if n := drain(stream.Next); n != brokenAfter+1 || stream.Err() == nil {
			t.Errorf("%s: %d chunks, %v", model, n, stream.Err())
		}
		if _, err := client.Chat.Completions.New(t.Context(), chatParams("cut-stream", 20)); err == nil {
			t.Error("a torn JSON answer was accepted")
		}
	}
	if answer, err := client.Chat.Completions.New(t.Context(), chatParams("no-usage", 20)); err != nil || answer.JSON.Usage.Valid() {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := client.Chat.Completions.New(ctx, chatParams("slow", 20)); err == nil {
		t.Error("slow was fast")
	}
	for end := time.Now().Add(2 * time.Second); m.Aborted() == 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if m.Aborted() != 1 {
		t.Error("the client's leaving went unnoticed")
	}
	if got := get(t, url+"/anything"); got != `{"ok":true,"path":"/anything"}` {
		t.Error(got)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestJobs(t *testing.T) {
	_, url, client, _ := start(t)
	video, err := client.Videos.New(t.Context(), openai.VideoNewParams{Prompt: "a tug", Model: "motion-standard", Seconds: "8"}) //nolint:staticcheck // others speak this protocol, too
	if err != nil || video.Status != "queued" || video.Seconds != "8" {
		t.Fatalf("%v %+v", err, video)
	}
	for _, want := range []string{"in_progress", "completed"} {
		if video, err = client.Videos.Get(t.Context(), video.ID); err != nil || string(video.Status) != want { //nolint:staticcheck // see above
			t.Errorf("%v %+v, want %s", err, video, want)
		}
	}
	if got := get(t, url+"/v1/videos/"+video.ID+"/content"); !strings.Contains(got, "video") {
		t.Error(got)
	}
}

// Every answer of the mock is understood by package dialect, and charged what the mock says it used.
func TestDialectReadsTheMock(t *testing.T) {
	m := New(Options{Pace: -1})
	hello := `"messages":[{"role":"user","content":"hello there"}]`
	for _, tt := range []struct {
		path, body string
		status     dialect.Status
		in, out    int64
	}{
		{"/v1/chat/completions", `{"model":"a",` + hello + `}`, dialect.StatusComplete, helloTokens, usualWords},
		{"/v1/chat/completions", `{"model":"a","stream":true,"stream_options":{"include_usage":true},` + hello + `}`, dialect.StatusComplete, helloTokens, usualWords},
		{"/v1/chat/completions", `{"model":"no-usage","stream":true,` + hello + `}`, dialect.StatusMissing, 0, 0},
		{"/v1/chat/completions", `{"model":"error-stream","stream":true,` + hello + `}`, dialect.StatusError, 0, 0},
		{"/v1/messages", `{"model":"a","stream":true,"max_tokens":7,` + hello + `}`, dialect.StatusComplete, helloTokens, 7},
		{"/v1/responses", `{"model":"a","stream":true,"input":"hello there"}`, dialect.StatusComplete, 3, usualWords},
		{"/v1/responses", `{"model":"error-stream","stream":true,"input":"hello there"}`, dialect.StatusError, 0, 0},
		{"/v1/embeddings", `{"model":"a","input":"hello there"}`, dialect.StatusComplete, 3, 0},
		{"/v1beta/models/gemini-3:streamGenerateContent", `{"contents":[{"parts":[{"text":"hello there"}]}]}`, dialect.StatusComplete, helloTokens, usualWords},
		{"/v1/videos", `{"model":"a","seconds":"8"}`, dialect.StatusPending, 0, 0},
	} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(http.MethodPost, tt.path, strings.NewReader(tt.body)))
		reader := dialect.Detect(http.MethodPost, tt.path, "").NewReader(w.Code, w.Header(), dialect.ReaderOptions{})
		reader.Write(w.Body.Bytes())
		reader.Close()
		res := reader.Result()
		if res.Status != tt.status || res.Usage.InputTotal.N != tt.in || res.Usage.OutputTotal.N != tt.out {
			t.Errorf("%s %s: %+v", tt.path, tt.body, res)
		}
	}
}

// The errors that package dialect writes, refusals and in streams, are raised by the official SDKs with their facts.
func TestSDKsRaiseDialectErrors(t *testing.T) {
	refusal := dialect.ErrorInfo{Status: 402, Reason: "insufficient_credits", Message: "Not enough credits.", RequestID: "req_1", Credits: []byte(`{"missing":"109"}`)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api := dialect.Detect(r.Method, r.URL.Path, "")
		if r.Header.Get("X-In-Stream") != "" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write(api.Errors().StreamEvent(refusal))
			return
		}
		contentType, body := api.Errors().Response(refusal)
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(refusal.Status)
		_, _ = w.Write(body)
	}))
	defer server.Close()
	for _, inStream := range []string{"", "yes"} {
		client := openai.NewClient(option.WithBaseURL(server.URL+"/v1/"), option.WithAPIKey("k"), option.WithMaxRetries(0), option.WithHeader("X-In-Stream", inStream))
		chat := client.Chat.Completions.NewStreaming(t.Context(), chatParams("a", 1))
		drain(chat.Next)
		answer := client.Responses.NewStreaming(t.Context(), responses.ResponseNewParams{Model: "a"})
		drain(answer.Next)
		other := anthropic.NewClient(anthropicoption.WithBaseURL(server.URL), anthropicoption.WithAPIKey("k"), anthropicoption.WithMaxRetries(0), anthropicoption.WithHeader("X-In-Stream", inStream))
		message := other.Messages.NewStreaming(t.Context(), anthropic.MessageNewParams{Model: "a", MaxTokens: 1})
		drain(message.Next)
		for name, err := range map[string]error{"chat": chat.Err(), "responses": answer.Err(), "messages": message.Err()} {
			if err == nil {
				t.Fatalf("%s, in stream %q: not raised", name, inStream)
			}
			text := err.Error()
			var api *openai.Error
			if errors.As(err, &api) { // its Error() hides the body, its fields do not
				text = api.Message + api.RawJSON()
			}
			if !strings.Contains(text, "Not enough credits") || !strings.Contains(text, "109") {
				t.Errorf("%s, in stream %q: %v", name, inStream, text)
			}
		}
	}
}
