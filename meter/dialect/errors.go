package dialect

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// ErrorInfo is a refusal, in words that do not depend on a dialect.
type ErrorInfo struct {
	Status int
	// Reason is the word of the table of refusals: "insufficient_credits", "unknown_key" …
	Reason    string
	Message   string
	RequestID string
	// Credits is a JSON object with all facts, or nil.
	Credits []byte
	// Docs is the base URL of the documented reasons for problem+json, or "".
	Docs string
}

// Error renders a refusal in the shape the API's SDKs know. They keep only the error object, so all facts are inside.
func (a *API) Error(e ErrorInfo) (contentType string, body []byte) {
	switch a.Family {
	case FamilyOpenAI:
		return "application/json", openaiError(e, false)
	case FamilyAnthropic:
		return "application/json", anthropicError(e)
	case FamilyGemini:
		return "application/json", geminiError(e)
	}
	return "application/problem+json", problem(e)
}

// StreamError renders an error inside a stream that has begun, such that the official SDKs raise it.
//
// openai-go (ssestream.Next), openai-python and openai-node raise on any data with a member "error", also in Responses streams,
// whose documented event has none; so it has both. anthropic-sdk-go and its siblings raise on "event: error".
func (a *API) StreamError(e ErrorInfo) []byte {
	switch {
	case a.profile == &ollamaChat:
		return append(textMember([]byte{'{'}, "error", e.Message), "}\n"...)
	case a.Family == FamilyAnthropic:
		return sseEvent("error", anthropicError(e))
	case a.Family == FamilyGemini:
		return sseEvent("", geminiError(e)) // go-genai fails on any line that does not begin with data
	case a.profile == &openaiResponses:
		return sseEvent("error", openaiError(e, true))
	case a.Family == FamilyOpenAI:
		return sseEvent("", openaiError(e, false))
	}
	return sseEvent("error", problem(e))
}

// SocketError renders an error as the last message of a WebSocket.
func (a *API) SocketError(e ErrorInfo) []byte { return openaiError(e, true) }

func sseEvent(name string, data []byte) []byte {
	var b []byte
	if name != "" {
		b = append(append(append(b, "event: "...), name...), '\n')
	}
	return append(append(append(b, "data: "...), data...), "\n\n"...)
}

// member appends a member with a raw value.
func member(b []byte, name string, raw []byte) []byte {
	if last := b[len(b)-1]; last != '{' {
		b = append(b, ',')
	}
	return append(append(append(append(b, '"'), name...), `":`...), raw...)
}

func textMember(b []byte, name, value string) []byte { return member(b, name, quote(value)) }

func (e ErrorInfo) facts(b []byte) []byte {
	if len(e.Credits) == 0 || !jsonscan.Valid(e.Credits) {
		return b
	}
	return member(b, "credits", e.Credits)
}

// code is the machine-readable code: OpenAI's own word for the commonest reason, else the reason.
func (e ErrorInfo) code() string {
	switch e.Reason {
	case "insufficient_credits", "in_flight_holds":
		return "credit_balance_exhausted"
	case "unknown_key", "key_revoked", "key_expired":
		return "invalid_api_key"
	}
	return e.Reason
}

func openaiError(e ErrorInfo, event bool) []byte {
	kind := "invalid_request_error"
	switch {
	case e.Status == 402:
		kind = "insufficient_quota"
	case e.Status == 401:
		kind = "authentication_error"
	case e.Status == 403:
		kind = "permission_error"
	case e.Status == 429:
		kind = "rate_limit_error"
	case e.Status >= 500:
		kind = "server_error"
	}
	inner := textMember([]byte{'{'}, "message", e.Message)
	inner = textMember(inner, "type", kind)
	inner = textMember(inner, "code", e.code())
	inner = member(inner, "param", []byte("null"))
	inner = append(e.facts(inner), '}')
	b := []byte{'{'}
	if event {
		b = textMember(b, "type", "error")
		b = textMember(b, "code", e.code())
		b = textMember(b, "message", e.Message)
		b = member(b, "param", []byte("null"))
		b = member(b, "sequence_number", []byte("0"))
	}
	return append(member(b, "error", inner), '}')
}

func anthropicError(e ErrorInfo) []byte {
	kind := "invalid_request_error"
	switch {
	case e.Status == 402:
		kind = "billing_error"
	case e.Status == 401:
		kind = "authentication_error"
	case e.Status == 403:
		kind = "permission_error"
	case e.Status == 404:
		kind = "not_found_error"
	case e.Status == 413:
		kind = "request_too_large"
	case e.Status == 429:
		kind = "rate_limit_error"
	case e.Status >= 500:
		kind = "api_error"
	}
	details := append(e.facts(textMember([]byte{'{'}, "error_code", e.code())), '}')
	inner := textMember(textMember([]byte{'{'}, "type", kind), "message", e.Message)
	inner = append(member(inner, "details", details), '}')
	b := member(textMember([]byte{'{'}, "type", "error"), "error", inner)
	return append(textMember(b, "request_id", e.RequestID), '}')
}

// geminiError follows google.rpc.Status. ErrorInfo.metadata is a map of strings, so the facts are one JSON string in it.
func geminiError(e ErrorInfo) []byte {
	status := "INVALID_ARGUMENT"
	switch {
	case e.Status == 402, e.Status == 429:
		status = "RESOURCE_EXHAUSTED"
	case e.Status == 401:
		status = "UNAUTHENTICATED"
	case e.Status == 403:
		status = "PERMISSION_DENIED"
	case e.Status == 404:
		status = "NOT_FOUND"
	case e.Status == 409:
		status = "ABORTED"
	case e.Status == 503:
		status = "UNAVAILABLE"
	case e.Status >= 500:
		status = "INTERNAL"
	}
	meta := []byte{'{'}
	gjson.ParseBytes(e.Credits).ForEach(func(k, v gjson.Result) bool {
		value := v.Str
		if v.Type != gjson.String {
			value = v.Raw
		}
		meta = textMember(meta, k.String(), value)
		return true
	})
	if e.RequestID != "" {
		meta = textMember(meta, "request_id", e.RequestID)
	}
	info := textMember([]byte{'{'}, "@type", "type.googleapis.com/google.rpc.ErrorInfo")
	info = textMember(info, "reason", upper(e.Reason))
	info = textMember(info, "domain", "farebox")
	info = append(member(info, "metadata", append(meta, '}')), '}')
	inner := member([]byte{'{'}, "code", []byte(strconv.Itoa(e.Status)))
	inner = textMember(textMember(inner, "message", e.Message), "status", status)
	inner = member(inner, "details", append(append([]byte{'['}, info...), ']'))
	return append(member([]byte{'{'}, "error", append(inner, '}')), '}')
}

func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// problem is RFC 9457 with the facts in an extension member.
func problem(e ErrorInfo) []byte {
	kind := "about:blank"
	if e.Docs != "" {
		kind = e.Docs + "#" + e.Reason
	}
	b := textMember([]byte{'{'}, "type", kind)
	b = textMember(b, "title", title(e.Reason))
	b = member(b, "status", []byte(strconv.Itoa(e.Status)))
	b = textMember(b, "detail", e.Message)
	if e.RequestID != "" {
		b = textMember(b, "instance", "urn:request:"+e.RequestID)
	}
	b = textMember(b, "code", e.Reason)
	return append(e.facts(b), '}')
}

// title turns a reason into words: "Insufficient credits".
func title(reason string) string {
	b := []byte(reason)
	for i, c := range b {
		if c == '_' {
			b[i] = ' '
		}
	}
	if len(b) > 0 && b[0] >= 'a' && b[0] <= 'z' {
		b[0] -= 'a' - 'A'
	}
	return string(b)
}

// unknownField are words of errors about a field that the server does not know: of OpenAI, of pydantic (vLLM, Mistral), of Go's
// and of Rust's JSON decoders.
var unknownField = []string{
	"unknown_parameter", "unsupported_parameter", "unknown parameter", "unrecognized request argument", "unrecognized parameter",
	"extra_forbidden", "extra inputs are not permitted", "extra fields not permitted", "additional properties", "additional_properties",
	"unknown field", "unexpected field", "unexpected keyword argument",
}

// UnknownField says whether an error is about a field that the server does not know.
func UnknownField(answer []byte) bool {
	text := strings.ToLower(string(answer[:min(len(answer), maxErrorBody)]))
	for _, words := range unknownField {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}
