package integration

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/tidwall/gjson"
)

// The official clients: only base URL and key differ from the provider's.

func (g *gateway) openai(key string) *openai.Client {
	c := openai.NewClient(option.WithBaseURL("http://"+g.addr+"/v1/"), option.WithAPIKey(key))
	return &c
}

func (g *gateway) anthropic(key string) *anthropic.Client {
	c := anthropic.NewClient(anthropicoption.WithBaseURL("http://"+g.addr), anthropicoption.WithAPIKey(key))
	return &c
}

func chatParams(model string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hello there")}}
}

func messageParams(model anthropic.Model) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: model, MaxTokens: 500, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hello there"))},
	}
}

const story = "The ferry left at dawn while fog lay over the harbour and nobody on the pier minded the delay of twenty minutes at all."

// wantCost checks header or trailer of an SDK's answer, and the balance after it.
func wantCost(t *testing.T, res *http.Response, cost, remaining int) {
	t.Helper()
	_, _ = io.Copy(io.Discard, res.Body) // SDKs stop at the last event, before the trailers
	a := answer{Response: res}
	left := res.Header
	if res.Header.Get("Credits-Cost") == "" {
		left = res.Trailer
		if res.Header.Get("Credits-Held") == "" {
			t.Error("neither Credits-Cost nor Credits-Held")
		}
	}
	if left.Get("Credits-Remaining") == "" && len(res.Trailer) > 0 {
		return // the SDK has hung up at the last event, before the trailers; the balance is checked at the end
	}
	if a.cost() != credits(cost) || left.Get("Credits-Remaining") != credits(remaining) {
		t.Errorf("cost %q, remaining %q; want %s and %s", a.cost(), left.Get("Credits-Remaining"), credits(cost), credits(remaining))
	}
	if !strings.HasPrefix(res.Header.Get("Credits-Charge"), "ch_") || res.Header.Get("Credits-Unit") != "credit" {
		t.Errorf("charge %q, unit %q", res.Header.Get("Credits-Charge"), res.Header.Get("Credits-Unit"))
	}
}

// upstreamSaw checks that the client's key stayed here and plain answers were asked for.
func (g *gateway) upstreamSaw(key string) gjson.Result {
	g.t.Helper()
	last := g.mock.Last()
	for name, values := range last.Header {
		if strings.Contains(strings.Join(values, " "), key) {
			g.t.Errorf("the upstream got the client's key in %s", name)
		}
	}
	if last.Header.Get("Authorization") != "Bearer sk-of-the-provider" || last.Header.Get("Accept-Encoding") != "identity" {
		g.t.Errorf("the upstream got Authorization %q, Accept-Encoding %q", last.Header.Get("Authorization"), last.Header.Get("Accept-Encoding"))
	}
	return gjson.ParseBytes(last.Body)
}

func TestOpenAIChat(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	client := g.openai(key)
	var res *http.Response
	chat, err := client.Chat.Completions.New(t.Context(), chatParams("gpt-5.4"), option.WithResponseInto(&res))
	if err != nil || chat.Choices[0].Message.Content != story || chat.Usage.CompletionTokens != usualTokens {
		t.Fatalf("%v %+v", err, chat)
	}
	left, cost := 50_000, price("gpt-5.4", helloTokens, usualTokens)
	left -= cost
	wantCost(t, res, cost, left)
	g.settled("acme") // its hold would be in the next answer's Credits-Remaining
	if g.upstreamSaw(key).Get("stream_options").Exists() {
		t.Error("stream_options in a request without a stream")
	}
	for _, asked := range []bool{false, true} {
		params := chatParams("gpt-5.4")
		if asked {
			params.StreamOptions.IncludeUsage = openai.Bool(true)
		}
		stream := client.Chat.Completions.NewStreaming(t.Context(), params, option.WithResponseInto(&res))
		acc := openai.ChatCompletionAccumulator{}
		empty := 0
		for stream.Next() {
			if len(stream.Current().Choices) == 0 {
				empty++
			}
			acc.AddChunk(stream.Current())
		}
		if stream.Err() != nil || acc.Choices[0].Message.Content != story {
			t.Errorf("asked %v: %v %q", asked, stream.Err(), acc.Choices[0].Message.Content)
		}
		if asked && (empty != 1 || acc.Usage.CompletionTokens != usualTokens) || !asked && (empty != 0 || acc.Usage.CompletionTokens != 0) {
			t.Errorf("asked %v: %d usage chunks, %d tokens", asked, empty, acc.Usage.CompletionTokens)
		}
		left -= cost
		wantCost(t, res, cost, left)
		g.settled("acme") // its hold would be in the next answer's Credits-Remaining
		if !g.upstreamSaw(key).Get("stream_options.include_usage").Bool() {
			t.Errorf("asked %v: the upstream was not asked for usage", asked)
		}
	}
	g.has("acme", credits(left))
	if n := g.kinds("acme"); n["hold"] != 3 || n["settle"] != 3 || g.mock.Requests() != 3 {
		t.Errorf("%v, upstream %d", n, g.mock.Requests())
	}
}

func TestOpenAIResponses(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	client := g.openai(key)
	params := responses.ResponseNewParams{Model: "gpt-5-mini", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello there")}}
	var res *http.Response
	got, err := client.Responses.New(t.Context(), params, option.WithResponseInto(&res))
	if err != nil || got.OutputText() != story {
		t.Fatalf("%v %+v", err, got)
	}
	cost := price("gpt-5-mini", 3, usualTokens)
	wantCost(t, res, cost, 50_000-cost)
	g.settled("acme") // its hold would be in the next answer's Credits-Remaining
	stream := client.Responses.NewStreaming(t.Context(), params, option.WithResponseInto(&res))
	var text strings.Builder
	var used int64
	for stream.Next() {
		text.WriteString(stream.Current().Delta)
		used = max(used, stream.Current().Response.Usage.OutputTokens)
	}
	if stream.Err() != nil || text.String() != story || used != usualTokens {
		t.Errorf("%v %q %d", stream.Err(), text.String(), used)
	}
	wantCost(t, res, cost, 50_000-2*cost)
	g.settled("acme") // its hold would be in the next answer's Credits-Remaining
	g.upstreamSaw(key)
	g.has("acme", credits(50_000-2*cost))
}

func TestOpenAIEmbeddings(t *testing.T) {
	g := start(t, setup{})
	client := g.openai(g.account("acme", "1"))
	input := strings.Repeat("a harbour at dawn ", 1000)
	var res *http.Response
	got, err := client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: "text-embedding-3-small", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{input, "x"}},
	}, option.WithResponseInto(&res))
	if err != nil || len(got.Data) != 2 {
		t.Fatalf("%v %+v", err, got)
	}
	cost := price("text-embedding-3-small", (len(input)+1+3)/4, 0)
	wantCost(t, res, cost, 1000-cost)
	g.settled("acme") // its hold would be in the next answer's Credits-Remaining
	g.has("acme", credits(1000-cost))
}

func TestAnthropic(t *testing.T) {
	g := start(t, setup{})
	key := g.account("acme", "50")
	client := g.anthropic(key)
	var res *http.Response
	got, err := client.Messages.New(t.Context(), messageParams("claude-sonnet-4-5"), anthropicoption.WithResponseInto(&res))
	if err != nil || got.Content[0].Text != story {
		t.Fatalf("%v %+v", err, got)
	}
	cost := price("claude-sonnet-4-5", helloTokens, usualTokens)
	wantCost(t, res, cost, 50_000-cost)
	g.settled("acme") // its hold would be in the next answer's Credits-Remaining
	stream := client.Messages.NewStreaming(t.Context(), messageParams("claude-sonnet-4-5"), anthropicoption.WithResponseInto(&res))
	message := anthropic.Message{}
	for stream.Next() {
		if err := message.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if stream.Err() != nil || message.Content[0].Text != story || message.Usage.OutputTokens != usualTokens {
		t.Errorf("%v %+v", stream.Err(), message)
	}
	wantCost(t, res, cost, 50_000-2*cost)
	g.settled("acme") // its hold would be in the next answer's Credits-Remaining
	g.upstreamSaw(key)
	count, err := client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{
		Model: "claude-sonnet-4-5", Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hello there"))},
	}, anthropicoption.WithResponseInto(&res))
	if err != nil || count.InputTokens != helloTokens || res.Header.Get("Credits-Cost") != "0" {
		t.Errorf("%v %+v, cost %q", err, count, res.Header.Get("Credits-Cost"))
	}
	g.has("acme", credits(50_000-2*cost))
}
