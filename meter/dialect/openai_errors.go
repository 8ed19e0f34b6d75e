package dialect

var openaiErrors = ErrorFormat{"application/json", openaiError, dataEvent(openaiError)}

// The documented error event of Responses has no member "error", on which SDKs raise; so it has both.
var responsesErrors = ErrorFormat{"application/json", openaiError, namedEvent(openaiErrorEvent)}

var openaiErrorTypes = map[int]string{
	400: "invalid_request_error", 401: "authentication_error", 402: "insufficient_quota", 403: "permission_error",
	429: "rate_limit_error", 500: "server_error",
}

func openaiError(e ErrorInfo) []byte { return append(e.openaiObject([]byte{'{'}), '}') }

// openaiErrorEvent is the error of Responses streams and of Realtime.
func openaiErrorEvent(e ErrorInfo) []byte {
	b := textMember([]byte{'{'}, "type", "error")
	b = textMember(b, "code", e.code())
	b = textMember(b, "message", e.Message)
	b = member(b, "param", []byte("null"))
	b = member(b, "sequence_number", []byte("0"))
	return append(e.openaiObject(b), '}')
}

func (e ErrorInfo) openaiObject(b []byte) []byte {
	inner := textMember([]byte{'{'}, "message", e.Message)
	inner = textMember(inner, "type", statusWord(openaiErrorTypes, e.Status))
	inner = textMember(inner, "code", e.code())
	inner = member(inner, "param", []byte("null"))
	return member(b, "error", append(e.facts(inner), '}'))
}
