package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/money"
)

// request plays one request and its answer; what the balance does not allow is
// refused and costs nothing.
func (p *demoPlay) request(who *demoActor) (money.Amount, error) {
	member := who.members[p.random.IntN(len(who.members))]
	if h := p.now.Hour(); h < 8 || h >= 19 {
		member = "" // the batch at night
	}
	x := p.exchange(member == "" && len(who.members) > 1)
	req := &meter.Request{
		Method: "POST", URI: x.path, Body: []byte(x.body), ContentType: "application/json",
		Header: map[string][]string{"Content-Type": {"application/json"}, "X-Project": {x.project}},
		Caller: meter.Caller{Account: who.account, Member: member, Key: who.keys[member]},
	}
	c, err := p.Admit(p.ctx, req)
	var denied *meter.Refusal
	if errors.As(err, &denied) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	began := p.now
	p.now = p.now.Add(x.takes)
	f, err := p.answer(c, x.status, x.answer)
	if err != nil || !f.Pending {
		return f.Cost, err
	}
	p.now = began.Add(90 * time.Second)
	ask, err := p.Admit(p.ctx, &meter.Request{Method: "GET", URI: x.path + "/" + x.job, Header: map[string][]string{}, Caller: req.Caller})
	if err != nil {
		return 0, err
	}
	_, err = p.answer(ask, 200, fmt.Sprintf(`{"id":%q,"status":%q}`, x.job, x.ends))
	if x.ends == "failed" {
		return 0, err
	}
	return f.Cost, err
}

func (p *demoPlay) answer(c meter.Call, status int, body string) (meter.Receipt, error) {
	c.Begin(status, map[string][]string{"Content-Type": {"application/json"}})
	if _, err := c.Observe(p.ctx, []byte(body)); err != nil {
		return meter.Receipt{}, err
	}
	c.End()
	return c.Settle(p.ctx, meter.Answered, nil), nil
}

// exchange is a request, and what the upstream says to it.
type exchange struct {
	path, body, project string
	status              int
	answer              string
	takes               time.Duration
	job, ends           string
}

// exchange makes one up.
func (p *demoPlay) exchange(batch bool) (x exchange) {
	x = exchange{status: 200, takes: time.Duration(1+p.random.IntN(9)) * time.Second, project: []string{"spring-catalogue", "support-bot", "blog"}[p.random.IntN(3)]}
	input, output := 400+p.random.IntN(5200), 120+p.random.IntN(1100)
	kind := p.random.IntN(100)
	if batch {
		kind = []int{5, 97}[p.random.IntN(2)]
	}
	switch {
	case kind < 40:
		x.chat("gpt-5-mini", input, output)
	case kind < 66:
		x.chat("gpt-5.4", input, output)
	case kind < 86:
		x.path, x.body = "/v1/messages", `{"model":"claude-sonnet-4-5","max_tokens":4000,"messages":[{"role":"user","content":"`+words(input)+`"}]}`
		x.answer = fmt.Sprintf(`{"id":"msg_demo","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"Done."}],"stop_reason":"end_turn","usage":{"input_tokens":%d,"output_tokens":%d}}`, input, output)
	case kind < 93:
		n, quality := 1+p.random.IntN(2), []string{"standard", "standard", "hd"}[p.random.IntN(3)]
		x.path, x.body = "/v1/images", fmt.Sprintf(`{"prompt":"a red chair on a pier","n":%d,"quality":%q}`, n, quality)
		x.answer = `{"created":1,"data":[` + strings.TrimSuffix(strings.Repeat(`{"url":"https://img.example/1"},`, n), ",") + `]}`
		x.takes = 12 * time.Second
	case kind < 96:
		p.jobs++
		x.job, x.ends = fmt.Sprintf("video_%d", p.jobs), "completed"
		if p.jobs%7 == 3 {
			x.ends = "failed"
		}
		x.path, x.body = "/v1/videos", fmt.Sprintf(`{"prompt":"the chair, turning","seconds":"%d"}`, 4+p.random.IntN(5))
		x.answer = fmt.Sprintf(`{"id":%q,"status":"queued"}`, x.job)
	default:
		x.path, x.body = "/v1/embeddings", `{"model":"text-embedding-3-small","input":"`+words(4*input)+`"}`
		x.answer = fmt.Sprintf(`{"object":"list","data":[],"model":"text-embedding-3-small","usage":{"prompt_tokens":%[1]d,"total_tokens":%[1]d}}`, 4*input)
	}
	if p.random.IntN(40) == 0 {
		x.status, x.answer, x.job = 502, `{"error":{"message":"bad gateway"}}`, ""
	}
	return x
}

// words are about as many tokens.
func words(tokens int) string {
	const sentence = "Describe the red chair for the catalogue. "
	return strings.Repeat(sentence, (tokens+7)/8)
}

func (x *exchange) chat(model string, input, output int) {
	x.path, x.body = "/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"`+words(input)+`"}]}`
	x.answer = fmt.Sprintf(`{"id":"chatcmpl-demo","object":"chat.completion","model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":"A chair."},"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}}`, model, input, output, input+output, input/3)
}
