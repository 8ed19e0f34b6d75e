package dialect

import (
	"slices"
	"strconv"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// ErrorInfo is a refusal, independent of the API.
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

// ErrorFormat renders refusals in the shape that the SDKs of an API know. They keep only the error object, so all facts are inside.
type ErrorFormat struct {
	contentType string
	body        func(ErrorInfo) []byte
	event       func(ErrorInfo) []byte
}

var errorFormats = map[string]*ErrorFormat{
	FamilyOpenAI:    &openaiErrors,
	FamilyAnthropic: {"application/json", anthropicError, namedEvent(anthropicError)},
	FamilyGemini:    {"application/json", geminiError, dataEvent(geminiError)}, // go-genai fails on any line that does not begin with data
	FamilyPlain:     {"application/problem+json", problem, namedEvent(problem)},
}

// Errors is the format of the API's refusals.
func (a *API) Errors() *ErrorFormat {
	if f := a.profile.errors; f != nil {
		return f
	}
	return errorFormats[a.Family]
}

// Response renders a refusal as an answer.
func (f *ErrorFormat) Response(e ErrorInfo) (contentType string, body []byte) {
	return f.contentType, f.body(e)
}

// StreamEvent renders an error inside a stream that has begun, such that the official SDKs raise it. openai-go (ssestream.Next),
// openai-python and openai-node raise on any data with a member "error"; anthropic-sdk-go and its siblings on "event: error".
func (f *ErrorFormat) StreamEvent(e ErrorInfo) []byte { return f.event(e) }

// SocketMessage renders an error as the last message of a WebSocket.
func (f *ErrorFormat) SocketMessage(e ErrorInfo) []byte { return openaiErrorEvent(e) }

// statusWord is what a table has for a status, or for all of its hundred.
func statusWord(words map[int]string, status int) string {
	if w, ok := words[status]; ok {
		return w
	}
	if status >= 500 {
		return words[500]
	}
	return words[400]
}

func namedEvent(body func(ErrorInfo) []byte) func(ErrorInfo) []byte {
	return func(e ErrorInfo) []byte { return sseEvent("error", body(e)) }
}

func dataEvent(body func(ErrorInfo) []byte) func(ErrorInfo) []byte {
	return func(e ErrorInfo) []byte { return sseEvent("", body(e)) }
}

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
	words := strings.ReplaceAll(reason, "_", " ")
	first := min(len(words), 1)
	return strings.ToUpper(words[:first]) + words[first:]
}

// unknownField are phrases of errors about a field that the server does not know: of OpenAI, of pydantic (vLLM, Mistral), of Go's
// and of Rust's JSON decoders.
var unknownField = []string{
	"unknown_parameter", "unsupported_parameter", "unknown parameter", "unrecognized request argument", "unrecognized parameter",
	"extra_forbidden", "extra inputs are not permitted", "extra fields not permitted", "additional properties", "additional_properties",
	"unknown field", "unexpected field", "unexpected keyword argument",
}

// UnknownField reports whether an error is about a field that the server does not know.
func UnknownField(answer []byte) bool {
	text := strings.ToLower(string(answer[:min(len(answer), maxErrorBody)]))
	return slices.ContainsFunc(unknownField, func(phrase string) bool { return strings.Contains(text, phrase) })
}
