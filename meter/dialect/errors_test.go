package dialect

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

func TestErrorShapes(t *testing.T) {
	e := ErrorInfo{Status: 402, Reason: "insufficient_credits", Message: "Not \"enough\".", RequestID: "req_1", Credits: []byte(`{"missing":"109","options":[{"do":"wait"}]}`)}
	tests := []struct {
		path, contentType string
		want              map[string]string
	}{
		{"/v1/chat/completions", "application/json", map[string]string{
			"error.message": e.Message, "error.type": "insufficient_quota", "error.code": "credit_balance_exhausted", "error.credits.missing": "109",
		}},
		{"/v1/messages", "application/json", map[string]string{
			"type": "error", "error.type": "billing_error", "error.message": e.Message, "error.details.error_code": "credit_balance_exhausted",
			"error.details.credits.options.0.do": "wait", "request_id": "req_1",
		}},
		{"/v1beta/models/g:generateContent", "application/json", map[string]string{
			"error.code": "402", "error.status": "RESOURCE_EXHAUSTED", "error.details.0.reason": "INSUFFICIENT_CREDITS", "error.details.0.metadata.missing": "109",
		}},
		{"/app", "application/problem+json", map[string]string{
			"type": "about:blank", "title": "Insufficient credits", "status": "402", "detail": e.Message, "credits.missing": "109",
		}},
	}
	for _, tt := range tests {
		api := Detect("POST", tt.path, "")
		contentType, body := api.Errors().Response(e)
		if contentType != tt.contentType || !jsonscan.Valid(body) {
			t.Errorf("%s: %s %s", tt.path, contentType, body)
		}
		for path, want := range tt.want {
			if got := gjson.GetBytes(body, path).String(); got != want {
				t.Errorf("%s: %s = %q, want %q", tt.path, path, got, want)
			}
		}
		event := string(api.Errors().StreamEvent(e))
		_, data, _ := strings.Cut(event, "data: ")
		if !strings.HasSuffix(event, "\n\n") || !gjson.Valid(strings.TrimSpace(data)) {
			t.Errorf("%s: stream error %q", tt.path, event)
		}
	}
	for status, want := range map[int]string{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 503: "server_error"} {
		_, body := Detect("POST", "/v1/chat/completions", "").Errors().Response(ErrorInfo{Status: status, Reason: "x"})
		if got := gjson.GetBytes(body, "error.type").String(); got != want {
			t.Errorf("%d: %s", status, body)
		}
	}
}
