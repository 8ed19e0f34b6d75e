package form

import (
	"bytes"
	"mime"
	"net/url"
	"strings"
)

// Kind is how a body is read. It is decided here, and nowhere else: what prices
// a request, what estimates it and what sends it on must not differ.
type Kind uint8

// The kinds of bodies.
const (
	Other      Kind = iota // none, or bytes that are not parsed
	JSON                   // begins like an object or a list, whatever its Content-Type says
	Multipart              // by its Content-Type
	URLEncoded             // by its Content-Type, unless it begins like JSON: programs that do not care send that under curl's default type
)

// KindOf is the kind of a body.
func KindOf(contentType string, body []byte) Kind {
	kind, _, _ := strings.Cut(contentType, ";")
	switch kind = strings.TrimSpace(kind); {
	case strings.EqualFold(kind, "multipart/form-data"):
		return Multipart
	case MayBeJSON(body):
		return JSON
	case strings.EqualFold(kind, "application/x-www-form-urlencoded"):
		return URLEncoded
	}
	return Other
}

// IsForm reports whether the body has fields.
func (k Kind) IsForm() bool { return k == Multipart || k == URLEncoded }

// MayBeJSON reports whether some server could read an object or a list in a
// body: behind a byte order mark, in UTF-16, with comments or NaN in it.
func MayBeJSON(body []byte) bool {
	body = body[:min(len(body), 4096)]
	for len(body) > 0 {
		switch {
		case body[0] == '{', body[0] == '[', bytes.HasPrefix(body, []byte("/*")), bytes.HasPrefix(body, []byte("//")):
			return true
		case body[0] <= ' ', body[0] == 0xfe, body[0] == 0xff:
			body = body[1:]
		case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")), bytes.HasPrefix(body, []byte("\xc2\xa0")):
			body = body[2:]
			body = bytes.TrimPrefix(body, []byte("\xbf"))
		default:
			return false
		}
	}
	return false
}

// SentType is the Content-Type under which a body of this kind goes on, so that
// the upstream reads what was read here: JSON in UTF-8 as JSON.
func (k Kind) SentType(contentType string) string {
	if contentType == "application/json" { // most are
		return contentType
	}
	kind, params, err := mime.ParseMediaType(contentType)
	plain := err == nil && (len(params) == 0 || len(params) == 1 && strings.EqualFold(params["charset"], "utf-8"))
	switch {
	case k == JSON && (!plain || kind != "application/json" && kind != "text/json" && !strings.HasSuffix(kind, "+json")):
		return "application/json"
	case k == URLEncoded && !plain:
		return "application/x-www-form-urlencoded"
	}
	return contentType
}

// Fields are the fields of a form that is not multipart. Names and values that
// a server could see because it splits at semicolons, too, are among them.
func Fields(body []byte) []Part {
	var parts []Part
	add := func(pair string) {
		name, value, _ := strings.Cut(pair, "=")
		if name = unescape(name); name != "" && len(parts) < maxParts {
			parts = append(parts, Part{Name: name, Value: []byte(unescape(value))})
		}
	}
	for pair := range strings.SplitSeq(string(body), "&") {
		add(pair)
		if first, _, ok := strings.Cut(pair, ";"); ok {
			for more := range strings.SplitSeq(pair[len(first)+1:], ";") {
				add(more)
			}
		}
	}
	return parts
}

func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}
