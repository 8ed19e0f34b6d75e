package dialect

import "testing"

// What a stream is, its first byte says, not its label alone; and a stream without
// one event is no answer.
func TestStreamsUnderWrongLabels(t *testing.T) {
	const (
		hello  = `{"choices":[{"index":0,"delta":{"content":"Hello"}}]}`
		usage  = `{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}`
		failed = `{"error":{"message":"busy","type":"server_error","code":"busy"}}`
		events = "text/event-stream"
		lines  = "application/x-ndjson"
	)
	for name, c := range map[string]struct {
		label, body string
		input       int64
		none        bool
		status      Status
	}{
		"events":                          {events, "data: " + hello + "\n\ndata: " + usage + "\n\ndata: [DONE]\n\n", 7, false, StatusComplete},
		"events under the name of lines":  {lines, "data: " + hello + "\n\ndata: " + usage + "\n\n", 7, false, StatusComplete},
		"comments, then events, as lines": {lines, "\n: ping\n\ndata: " + usage + "\n\n", 7, false, StatusComplete},
		"lines":                           {lines, hello + "\n" + usage + "\n", 7, false, StatusComplete},
		"lines under the name of events":  {events, hello + "\n" + usage + "\n", 7, false, StatusComplete},
		"one document":                    {events, `{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}`, 7, false, StatusComplete},
		"an error as a document":          {events, failed, 0, true, StatusError},
		"an error as an event":            {events, "data: " + failed + "\n\n", 0, false, StatusError},
		"a page":                          {events, "<html>busy</html>", 0, true, StatusPartial},
		"comments":                        {events, ": ping\n\n: ping\n\n", 0, true, StatusPartial},
		"an end without a beginning":      {events, "data: [DONE]\n\n", 0, true, StatusMissing},
		"half an event":                   {events, "data: {\"choices\":[{\"del", 0, true, StatusPartial},
		"blanks":                          {events, "\n\n", 0, true, StatusPartial},
		"only a role":                     {events, "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n", 0, false, StatusPartial},
	} {
		for step := range 3 {
			r := Detect("POST", "/v1/chat/completions", "").NewReader(200, map[string][]string{"Content-Type": {c.label}}, ReaderOptions{})
			for b := []byte(c.body); len(b) > 0; {
				n := min(len(b), 1+step*40)
				r.Write(b[:n])
				b = b[n:]
			}
			r.Close()
			got := r.Result()
			if got.Usage.InputTotal.N != c.input || got.NotAnswer != c.none || got.Status != c.status {
				t.Errorf("%s: input %d, no answer %v, %s; want %d, %v, %s", name, got.Usage.InputTotal.N, got.NotAnswer, got.Status, c.input, c.none, c.status)
			}
		}
	}
}
