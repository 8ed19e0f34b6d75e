package pricing_test

import (
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/pricing"
)

// TestAxes has each axis on which providers' price pages vary, with figures.
func TestAxes(t *testing.T) {
	const head = "version: 1\ncredit: {name: credit, decimals: 4}\noperations:\n"
	chat := func(models string) string {
		return head + "  chat: {match: POST /v1/chat/completions, price: by_model}\nmodels:\n" + models
	}
	const longContext = "  m:\n    per_token: {input: 1, cached_input: 0.5, output: 4}\n    max_output_tokens: 10\n    adjust: [{when: {input_tokens: {above: 100}}, price: {per_token: {input: 2}}}, {when: {service_tier: flex}, times: 0.5}]\n  n: {like: m, per_token: {output: 8}}\n"
	const matrix = head + "  image:\n    match: POST /i\n    measure: {image: {from: body.n, default: 1}}\n    price: {per_image: 1}\n    adjust:\n      - {when: {body.size: 1024x1024, body.quality: high}, price: {per_image: 4}}\n      - {when: {body.size: [1024x1536, 1536x1024], body.quality: high}, price: {per_image: 6}}\n"
	const night = head + "  a:\n    match: POST /a\n    price: 8\n    adjust: [{when: {hours: \"16:30-00:30\", days: [mon, tue], timezone: UTC}, times: 0.5}]\n"
	const dated = "  m: {per_request: 1}\n  m-2: {per_request: 2, effective_from: 2026-07-01}\n  m-*: {per_request: 9}\n"
	const datedOperation = head + "  new: {match: POST /a, price: 2, effective_from: \"2026-07-01T12:00:00Z\"}\n  old: {match: POST /a, price: 1}\n"
	at := func(text string) time.Time {
		x, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct {
		name, prices, path, body, usage, tier string
		at                                    time.Time
		want                                  string
	}{
		{"token class: a kind of its own", chat("  m: {per_token: {input: 1, audio_input: 3, output: 2, video_output: 7}, max_output_tokens: 10}\n"), "/v1/chat/completions", `{"model":"m"}`, "input=1 audio_input=1 video_input=1 output=1 video_output=1", "", monday, "14"},
		{"token class: lent by the parent", chat("  m: {per_token: {input: 1, cache_write: 2, audio_input: 3, output: 5}, max_output_tokens: 10}\n"), "/v1/chat/completions", `{"model":"m"}`, "cached_input=1 cache_write_1h=1 cached_audio_input=1 citation=1 reasoning=1", "", monday, "16"},
		{"other units, measured", head + "  a: {match: POST /a, measure: {pixel: body.px, session: body.s, query: body.q}, price: {per_pixel: 0.001, per_session: 5, per_query: 2}}\n", "/a", `{"px":2000,"s":1,"q":3}`, "", "", monday, "13"},
		{"other units, reported", head + "  a: {match: POST /v2/rerank, price: {per_search_unit: 2}}\n", "/v2/rerank", `{}`, "search_unit=3", "", monday, "6"},
		{"pages that the answer reports", head + "  a: {match: POST /v1/ocr, price: {per_page: 2, minimum: 1}}\n", "/v1/ocr", `{}`, "page=3", "", monday, "6"},
		{"searches and tokens", chat("  m: {per_token: {input: 1, output: 1}, per_web_search: 10, max_output_tokens: 10}\n"), "/v1/chat/completions", `{"model":"m"}`, "input=5 output=5 web_search=2", "", monday, "30"},
		{"long context: up to the limit", chat(longContext), "/v1/chat/completions", `{"model":"m"}`, "input=60 cached_input=40", "", monday, "80"},
		{"long context: the whole request", chat(longContext), "/v1/chat/completions", `{"model":"m"}`, "input=61 cached_input=40 output=1", "", monday, "146"},
		{"tier asked for", chat(longContext), "/v1/chat/completions", `{"model":"m","service_tier":"flex"}`, "input=10", "", monday, "5"},
		{"the answer's tier wins", chat(longContext), "/v1/chat/completions", `{"model":"m","service_tier":"flex"}`, "input=10", "default", monday, "10"},
		{"inheritance, kind by kind", chat(longContext), "/v1/chat/completions", `{"model":"n","service_tier":"flex"}`, "input=10 output=1", "", monday, "9"},
		{"size × quality", matrix, "/i", `{"n":2,"size":"1536x1024","quality":"high"}`, "", "", monday, "12"},
		{"size × quality: one of them", matrix, "/i", `{"n":2,"size":"1536x1024","quality":"low"}`, "", "", monday, "2"},
		{"off-peak", night, "/a", "", "", "", at("2026-06-15 16:30"), "4"},
		{"off-peak, after midnight it is another day", night, "/a", "", "", "", at("2026-06-15 00:29"), "4"},
		{"off-peak is over", night, "/a", "", "", "", at("2026-06-15 00:30"), "8"},
		{"off-peak on other days", night, "/a", "", "", "", at("2026-06-17 17:00"), "8"},
		{"dated prices: before", chat(dated), "/v1/chat/completions", `{"model":"m-2"}`, "", "", at("2026-06-30 23:59"), "9"},
		{"dated prices: from then on", chat(dated), "/v1/chat/completions", `{"model":"m-2"}`, "", "", at("2026-07-01 00:00"), "2"},
		{"a dated operation: before", datedOperation, "/a", "", "", "", at("2026-07-01 11:59"), "1"},
		{"a dated operation: from then on", datedOperation, "/a", "", "", "", at("2026-07-01 12:00"), "2"},
		{"free, written out", head + "  a: {match: POST /a, price: {per_request: 0}}\n", "/a", "", "", "", monday, "0"},
		{"free", head + "  a: {match: POST /a, price: free}\n", "/a", "", "", "", monday, "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := load(t, c.prices)
			f := jsonFacts("POST", c.path, c.body)
			f.At = c.at
			r, err := b.Read(f)
			if err != nil {
				t.Fatal(err)
			}
			u, err := pricing.ParseUsage(c.usage)
			if err != nil {
				t.Fatal(err)
			}
			answer := &pricing.Answer{Status: 200, Usage: &u, ServiceTier: c.tier}
			q, err := r.Cost(answer, nil, pricing.FreeLeft{})
			if got := q.Amount.Text(4); err != nil || got != c.want {
				t.Errorf("costs %s (%v), want %s", got, err, c.want)
			}
			recordedAgain(t, b, r, answer, nil, c.at, q)
		})
	}
}
