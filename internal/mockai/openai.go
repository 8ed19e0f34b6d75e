package mockai

import (
	"maps"
	"net/http"
	"strings"
)

var serverError = object{"message": "The mock upstream was asked to fail.", "type": "server_error", "code": "server_error", "param": nil}

// usage under OpenAI's chat names, nil for no-usage.
func (c *call) chatUsage(output int) any {
	if c.has("no-usage") {
		return nil
	}
	in := c.input()
	return object{
		"prompt_tokens": in, "completion_tokens": output, "total_tokens": in + output,
		"prompt_tokens_details":     object{"cached_tokens": 0, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": 0, "audio_tokens": 0},
	}
}

func finishReason(cut bool) string {
	if cut {
		return "length"
	}
	return "stop"
}

func (c *call) chat() {
	words, cut := c.answer("max_completion_tokens", "max_tokens")
	n := max(int(c.body.Get("n").Int()), 1)
	if c.body.Get("stream").Bool() {
		c.chatStream(words, cut, n)
		return
	}
	if c.has("error-stream") {
		c.json(http.StatusOK, object{"error": serverError})
		return
	}
	choices := make([]object, n)
	for i := range choices {
		choices[i] = object{
			"index": i, "logprobs": nil, "finish_reason": finishReason(cut),
			"message": object{"role": "assistant", "content": strings.Join(words, ""), "refusal": nil},
		}
	}
	answer := object{"id": "chatcmpl-mock", "object": "chat.completion", "created": created, "model": c.model, "choices": choices, "service_tier": "default"}
	if usage := c.chatUsage(n * len(words)); usage != nil {
		answer["usage"] = usage
	}
	c.json(http.StatusOK, answer)
}

// chatStream sends usage as OpenAI does: only if asked for, null on every chunk, then one chunk without choices.
func (c *call) chatStream(words []string, cut bool, n int) {
	asked := c.body.Get("stream_options.include_usage").Bool() && !c.has("no-usage")
	chunk := func(choices []object, usage any) object {
		o := object{"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": created, "model": c.model, "choices": choices}
		if asked {
			o["usage"] = usage
		}
		return o
	}
	choice := func(i int, delta object, finish any) []object {
		return []object{{"index": i, "delta": delta, "logprobs": nil, "finish_reason": finish}}
	}
	s := c.stream(false)
	for i := range n {
		s.send(chunk(choice(i, object{"role": "assistant", "content": ""}, nil), nil))
		event := func(word string) object { return chunk(choice(i, object{"content": word}, nil), nil) }
		if !s.words(words, event, object{"error": serverError}) {
			return
		}
		s.send(chunk(choice(i, object{}, finishReason(cut)), nil))
	}
	if asked {
		s.send(chunk([]object{}, c.chatUsage(n*len(words))))
	}
	s.raw("data: [DONE]\n\n")
}

func (c *call) responses() {
	words, cut := c.answer("max_output_tokens")
	text := strings.Join(words, "")
	message := object{
		"id": "msg_mock", "type": "message", "status": "completed", "role": "assistant",
		"content": []object{{"type": "output_text", "text": text, "annotations": []any{}}},
	}
	response := func(status string, output []object) object {
		o := object{
			"id": "resp_mock", "object": "response", "created_at": created, "status": status, "model": c.model, "output": output, "error": nil,
			"incomplete_details": nil, "parallel_tool_calls": true, "service_tier": "default", "tools": []any{}, "usage": nil,
		}
		if status != "in_progress" && !c.has("no-usage") {
			in := c.input()
			o["usage"] = object{
				"input_tokens": in, "output_tokens": len(words), "total_tokens": in + len(words),
				"input_tokens_details": object{"cached_tokens": 0}, "output_tokens_details": object{"reasoning_tokens": 0},
			}
		}
		return o
	}
	end, status := "response.completed", "completed"
	if cut {
		end, status = "response.incomplete", "incomplete"
	}
	if !c.body.Get("stream").Bool() {
		c.json(http.StatusOK, response(status, []object{message}))
		return
	}
	s := c.stream(true)
	number := 0
	numbered := func(o object) object {
		o["sequence_number"] = number
		number++
		return o
	}
	part := object{"item_id": "msg_mock", "output_index": 0, "content_index": 0}
	event := func(kind string, members object) object {
		maps.Copy(members, part)
		members["type"] = kind
		return numbered(members)
	}
	s.send(numbered(object{"type": "response.created", "response": response("in_progress", []object{})}))
	s.send(numbered(object{"type": "response.output_item.added", "output_index": 0, "item": object{"id": "msg_mock", "type": "message", "status": "in_progress", "role": "assistant", "content": []any{}}}))
	s.send(event("response.content_part.added", object{"part": object{"type": "output_text", "text": "", "annotations": []any{}}}))
	delta := func(word string) object {
		return event("response.output_text.delta", object{"delta": word, "logprobs": []any{}})
	}
	failed := response("in_progress", []object{})
	failed["status"], failed["error"] = "failed", object{"code": "server_error", "message": "The mock upstream was asked to fail."}
	if !s.words(words, delta, object{"type": "response.failed", "response": failed, "sequence_number": len(words) + 3}) {
		return
	}
	s.send(event("response.output_text.done", object{"text": text, "logprobs": []any{}}))
	s.send(numbered(object{"type": "response.output_item.done", "output_index": 0, "item": message}))
	s.send(numbered(object{"type": end, "response": response(status, []object{message})}))
}

func (c *call) embeddings() {
	inputs := 1
	if v := c.body.Get("input"); v.IsArray() {
		inputs = len(v.Array())
	}
	data := make([]object, inputs)
	for i := range data {
		data[i] = object{"object": "embedding", "index": i, "embedding": [4]int{i, 1, 2, 3}}
	}
	answer := object{"object": "list", "model": c.model, "data": data}
	if !c.has("no-usage") {
		answer["usage"] = object{"prompt_tokens": c.input(), "total_tokens": c.input()}
	}
	c.json(http.StatusOK, answer)
}

// pixel is a PNG of one pixel.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// images answers with n pictures; models named gpt-image… report tokens, 272 a picture, others none.
func (c *call) images() {
	n := max(int(c.body.Get("n").Int()), 1)
	data := make([]object, n)
	for i := range data {
		data[i] = object{"b64_json": pixel}
	}
	answer := object{"created": created, "data": data}
	for _, name := range []string{"size", "quality"} {
		if v := c.body.Get(name); v.Exists() {
			answer[name] = v.String()
		}
	}
	if strings.HasPrefix(c.model, "gpt-image") && !c.has("no-usage") {
		in, out := c.input(), 272*n
		answer["usage"] = object{
			"input_tokens": in, "output_tokens": out, "total_tokens": in + out,
			"input_tokens_details":  object{"text_tokens": in, "image_tokens": 0},
			"output_tokens_details": object{"text_tokens": 0, "image_tokens": out},
		}
	}
	c.json(http.StatusOK, answer)
}

func (c *call) models() {
	var data []object
	list := c.opt.Models
	if len(list) == 0 {
		list = []string{"gpt-5-mini", "gpt-5", "claude-sonnet-5", "gemini-3-flash", "text-embedding-3-small", "gpt-image-2"}
	}
	for _, id := range list {
		data = append(data, object{"id": id, "object": "model", "created": created, "owned_by": "mock"})
	}
	c.json(http.StatusOK, object{"object": "list", "data": data})
}
