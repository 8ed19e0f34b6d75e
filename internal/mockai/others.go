package mockai

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
)

// messages is Anthropic's API: input with message_start, the cumulative output with message_delta.
func (c *call) messages() {
	words, cut := c.answer("max_tokens")
	reason := "end_turn"
	if cut {
		reason = "max_tokens"
	}
	usage := func(output int) object {
		if c.has("no-usage") {
			return object{}
		}
		return object{
			"input_tokens": c.input(), "output_tokens": output, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "service_tier": "standard",
		}
	}
	message := func(content []object, stop any, output int) object {
		return object{
			"id": "msg_mock", "type": "message", "role": "assistant", "model": c.model, "content": content,
			"stop_reason": stop, "stop_sequence": nil, "usage": usage(output),
		}
	}
	if !c.body.Get("stream").Bool() {
		c.json(http.StatusOK, message([]object{{"type": "text", "text": strings.Join(words, "")}}, reason, len(words)))
		return
	}
	s := c.stream(true)
	s.send(object{"type": "message_start", "message": message([]object{}, nil, 1)})
	s.send(object{"type": "content_block_start", "index": 0, "content_block": object{"type": "text", "text": ""}})
	s.send(object{"type": "ping"})
	delta := func(word string) object {
		return object{"type": "content_block_delta", "index": 0, "delta": object{"type": "text_delta", "text": word}}
	}
	if !s.words(words, delta, object{"type": "error", "error": object{"type": "overloaded_error", "message": "Overloaded"}}) {
		return
	}
	s.send(object{"type": "content_block_stop", "index": 0})
	s.send(object{"type": "message_delta", "delta": object{"stop_reason": reason, "stop_sequence": nil}, "usage": usage(len(words))})
	s.send(object{"type": "message_stop"})
}

// gemini answers generateContent, and streamGenerateContent as SSE; usage is on every chunk and cumulative.
func (c *call) gemini() {
	words, cut := c.answer("generationConfig.maxOutputTokens")
	sent := 0
	chunk := func(text string, finish string) object {
		candidate := object{"content": object{"role": "model", "parts": []object{{"text": text}}}, "index": 0}
		if finish != "" {
			candidate["finishReason"] = finish
		}
		o := object{"candidates": []object{candidate}, "modelVersion": c.model, "responseId": "mock"}
		if !c.has("no-usage") {
			in := c.input()
			o["usageMetadata"] = object{"promptTokenCount": in, "candidatesTokenCount": sent, "totalTokenCount": in + sent}
		}
		return o
	}
	finish := "STOP"
	if cut {
		finish = "MAX_TOKENS"
	}
	if !strings.HasSuffix(c.r.URL.Path, ":streamGenerateContent") {
		sent = len(words)
		c.json(http.StatusOK, chunk(strings.Join(words, ""), finish))
		return
	}
	s := c.stream(false)
	event := func(word string) object {
		sent++
		return chunk(word, "")
	}
	if s.words(words, event, object{"error": object{"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}) {
		s.send(chunk("", finish))
	}
}

// job is an image or a video in the making.
type job struct {
	polls  int
	answer object
}

// job creates, polls and serves jobs: POST collection, GET collection/{id}, GET collection/{id}/content.
func (c *call) job(kind, collection string) {
	rest, _ := cutAfter(c.r.URL.Path, collection)
	id, tail, _ := strings.Cut(strings.Trim(rest, "/"), "/")
	switch {
	case c.r.Method == http.MethodPost && id == "":
		c.json(http.StatusOK, c.createJob(kind))
	case tail == "content":
		c.w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = c.w.Write([]byte("the " + kind + " of " + id + "\n"))
	default:
		if answer := c.pollJob(id); answer != nil {
			c.json(http.StatusOK, answer)
			return
		}
		c.fail(http.StatusNotFound, "not_found", "No such "+kind+": "+id)
	}
}

func (c *call) createJob(kind string) object {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := kind + "_" + strconv.Itoa(len(c.jobs)+1)
	j := &job{answer: object{"id": id, "object": kind, "created_at": created, "status": "queued", "progress": 0, "model": c.model}}
	for _, name := range []string{"seconds", "size", "resolution", "duration", "n"} {
		if v := c.body.Get(name); v.Exists() {
			j.answer[name] = v.Value()
		}
	}
	c.jobs[id] = j
	return maps.Clone(j.answer)
}

// pollJob moves a job on: in progress for Options.JobPolls polls, then done. nil if the job does not exist.
func (c *call) pollJob(id string) object {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.jobs[id]
	if j == nil {
		return nil
	}
	j.polls++
	model, _ := j.answer["model"].(string)
	switch {
	case j.polls <= c.opt.JobPolls:
		j.answer["status"], j.answer["progress"] = "in_progress", 50
	case strings.Contains(model, "job-failed"):
		j.answer["status"], j.answer["error"] = "failed", object{"code": "mock_failure", "message": "The mock job was asked to fail."}
	default:
		j.answer["status"], j.answer["progress"] = "completed", 100
		j.answer["url"] = "https://mock.invalid/" + id
	}
	return maps.Clone(j.answer)
}
