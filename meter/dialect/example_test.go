package dialect_test

import (
	"fmt"

	"github.com/farebox-dev/farebox/meter/dialect"
)

// A reader follows a stream in pieces of any size and knows at its end what was used.
func ExampleReader() {
	api := dialect.Detect("POST", "/v1/chat/completions", "")
	r := api.NewReader(200, map[string][]string{"Content-Type": {"text/event-stream"}}, dialect.ReaderOptions{})
	for _, piece := range []string{
		"data: {\"choices\":[{\"delta\":{\"content\":\"Hel",
		"lo\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,",
		"\"completion_tokens\":12,\"completion_tokens_details\":{\"reasoning_tokens\":10}}}\n\ndata: [DONE]\n\n",
	} {
		r.Write([]byte(piece)) // returns the bytes to forward
	}
	r.Close()
	res := r.Result()
	fmt.Println(res.Status, res.Usage.InputTotal.N, res.Usage.OutputTotal.N, res.Usage.Disjoint())
	// Output: complete 9 12 [{input 9} {output 2} {reasoning 10}]
}

// A refusal has the shape that the official SDKs of the API raise.
func ExampleErrorFormat() {
	for _, path := range []string{"/v1/chat/completions", "/v1/messages"} {
		contentType, body := dialect.Detect("POST", path, "").Errors().Response(dialect.ErrorInfo{
			Status: 402, Reason: "insufficient_credits", Message: "No credits left.", RequestID: "req_1",
		})
		fmt.Println(contentType, string(body))
	}
	// Output:
	// application/json {"error":{"message":"No credits left.","type":"insufficient_quota","code":"credit_balance_exhausted","param":null}}
	// application/json {"type":"error","error":{"type":"billing_error","message":"No credits left.","details":{"error_code":"credit_balance_exhausted"}},"request_id":"req_1"}
}
