package pricing

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"strings"
)

// intake takes the fields of one operation out of a request.
type intake struct {
	r       *Request
	f       *Facts
	op      *Operation
	form    bool // the body is a form
	bodyBad bool // the body is not empty and not one JSON document
}

// collect fills the values of the request with all that the operation reads.
func (in *intake) collect() {
	for _, f := range in.op.plain {
		in.r.values[f.slot] = in.plainValue(f)
	}
	in.form = isForm(in.f.ContentType, in.f.Body)
	if len(in.op.forms) > 0 && in.form {
		in.formValues()
	}
	switch {
	case in.op.bodyTree == nil || len(in.f.Body) == 0:
	case in.form:
		in.bodyBad = true
	default:
		in.bodyBad = !scanJSON(in.f.Body, in.op.bodyTree, in.r.values)
	}
}

// isForm tells a form from JSON. Programs that do not care send JSON under
// curl's default type for forms, and upstreams that do not care read it.
func isForm(contentType string, body []byte) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.TrimSpace(t)
	if strings.EqualFold(t, "multipart/form-data") {
		return true
	}
	first := bytes.TrimLeft(body, " \t\r\n")
	return strings.EqualFold(t, "application/x-www-form-urlencoded") && (len(first) == 0 || first[0] != '{' && first[0] != '[')
}

// unambiguous refuses if one of the fields is ambiguous or can't be read.
func (in *intake) unambiguous(fields []*field) *Refusal {
	for _, f := range fields {
		if f.from == fromBody && in.bodyBad {
			return notJSON(f)
		}
		if in.r.values[f.slot].ambiguous {
			return ambiguousField(f)
		}
	}
	return nil
}

func (in *intake) plainValue(f *field) value {
	switch f.from {
	case fromHeader:
		return requestHeader(in.f.Header, f.name)
	case fromQuery:
		return queryValue(in.f.URI, f.name)
	case fromPath:
		if s, ok := pathSegment(in.r.path, f.segment); ok {
			return value{kind: textValue, text: s}
		}
	case fromKey:
		return attribute(in.f.Key, f.name)
	case fromMember:
		return attribute(in.f.Member, f.name)
	case fromBody, fromForm, fromResponseBody, fromResponseHeader, fromResponseStatus:
	}
	return value{}
}

func attribute(m map[string]string, name string) value {
	if s, ok := m[name]; ok {
		return value{kind: textValue, text: s}
	}
	return value{}
}

// requestHeader is a header as the upstream sees it. One that does not arrive, because Connection names it, or that servers
// confuse with another, because they take _ for -, can't decide a price.
func requestHeader(h map[string][]string, name string) value {
	v := headerValue(h, name)
	for key, list := range h {
		if strings.EqualFold(key, "Connection") {
			for _, line := range list {
				for token := range strings.SplitSeq(line, ",") {
					v.ambiguous = v.ambiguous || strings.EqualFold(strings.TrimSpace(token), name)
				}
			}
		}
		if strings.Contains(key, "_") && strings.EqualFold(strings.ReplaceAll(key, "_", "-"), strings.ReplaceAll(name, "_", "-")) && !strings.EqualFold(key, name) {
			v.ambiguous = true
		}
	}
	return v
}

// headerValue finds a header by its name in canonical form, else in any case.
func headerValue(h map[string][]string, name string) value {
	if len(h) == 0 {
		return value{}
	}
	list := h[textproto.CanonicalMIMEHeaderKey(name)]
	if len(list) == 0 {
		for key, other := range h {
			if strings.EqualFold(key, name) {
				list = append(list[:len(list):len(list)], other...)
			}
		}
	}
	if len(list) == 0 {
		return value{}
	}
	return value{kind: textValue, text: list[0], ambiguous: len(list) > 1}
}

func queryValue(uri, name string) value {
	_, query, _ := strings.Cut(uri, "?")
	var v value
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, text, _ := strings.Cut(pair, "=")
		if unquery(key) != name {
			if mistakable(pair, name) {
				v.ambiguous = true
				return v
			}
			continue
		}
		if strings.ContainsAny(text, ";#") { // a server may end the value here
			return value{kind: textValue, ambiguous: true}
		}
		if v.kind != absent {
			v.ambiguous = true
			return v
		}
		v = value{kind: textValue, text: unquery(text)}
	}
	return v
}

// mistakable reports whether a server could read a parameter under another name: in another case, as a list (n[], n[0], n.0),
// behind a semicolon or a #, or with an escape that it decodes in its own way.
func mistakable(pair, name string) bool {
	for part := range strings.FieldsFuncSeq(pair, func(r rune) bool { return r == ';' || r == '#' }) {
		key, _, _ := strings.Cut(part, "=")
		key = strings.TrimSpace(strings.Trim(unquery(key), "\x00"))
		if key, _, _ = strings.Cut(key, "["); strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}

func unquery(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// maxFormValue bounds what is kept of a form field; no name or number is longer.
const maxFormValue = 4096

// formValues reads the parts of a form that the operation looks at.
func (in *intake) formValues() {
	kind, params, err := mime.ParseMediaType(in.f.ContentType)
	if err != nil {
		in.formBroken()
		return
	}
	if kind != "multipart/form-data" {
		for _, f := range in.op.forms {
			in.r.values[f.slot] = queryValue("?"+strings.ReplaceAll(string(in.f.Body), "#", "%23"), f.name)
		}
		return
	}
	parts := multipart.NewReader(bytes.NewReader(in.f.Body), params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			in.formBroken()
			return
		}
		name := part.FormName()
		for _, f := range in.op.forms {
			if f.name != name {
				continue
			}
			v := &in.r.values[f.slot]
			if v.kind != absent {
				v.ambiguous = true
				continue
			}
			text, err := io.ReadAll(io.LimitReader(part, maxFormValue+1))
			if err != nil || len(text) > maxFormValue {
				*v = value{kind: otherValue}
				continue
			}
			*v = value{kind: textValue, text: string(text)}
		}
	}
}

// formBroken makes every field of a form that can't be read ambiguous: nobody
// knows what the upstream would find in it.
func (in *intake) formBroken() {
	for _, f := range in.op.forms {
		in.r.values[f.slot].ambiguous = true
	}
}
