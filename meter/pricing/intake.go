package pricing

import (
	"net/textproto"
	"net/url"
	"strings"

	"github.com/farebox-dev/farebox/meter/form"
)

// intake takes the fields of one operation out of a request.
type intake struct {
	r       *Request
	f       *Facts
	op      *Operation
	form    bool  // the body is a form
	bodyBad bool  // the body is not empty and not one JSON document
	formBad error // why the body is no form that can be read in one way
}

// collect fills the values of the request with all that the operation reads.
func (in *intake) collect() {
	for _, f := range in.op.plain {
		in.r.values[f.slot] = in.plainValue(f)
	}
	in.form = form.KindOf(in.f.ContentType, in.f.Body).IsForm()
	if len(in.op.forms) > 0 && in.form {
		in.formValues()
	}
	switch {
	case in.op.bodyTree == nil || len(in.f.Body) == 0:
	case in.form:
		in.bodyBad = true
	default:
		in.bodyBad = !in.op.bodyTree.Find(in.f.Body, in.r.values)
		in.r.Asked.JSON = !in.bodyBad
	}
}

// unambiguous refuses if one of the fields is ambiguous or can't be read.
func (in *intake) unambiguous(fields []*Field) *Refusal {
	for _, f := range fields {
		if f.From == FromBody && in.bodyBad {
			return notJSON(f)
		}
		if in.r.values[f.slot].Ambiguous {
			return ambiguousField(f)
		}
	}
	return nil
}

func (in *intake) plainValue(f *Field) value {
	switch f.From {
	case FromHeader:
		return requestHeader(in.f.Header, f.Name)
	case FromQuery:
		return queryValue(in.f.URI, f.Name)
	case FromPath:
		if s, ok := pathSegment(in.r.Asked.Path, f.Segment); ok {
			return value{Kind: textValue, Text: s}
		}
	case FromKey:
		return in.f.Key.value(f.Name)
	case FromMember:
		return in.f.Member.value(f.Name)
	case FromBody, FromForm, FromResponseBody, FromResponseHeader, FromResponseStatus:
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
					v.Ambiguous = v.Ambiguous || strings.EqualFold(strings.TrimSpace(token), name)
				}
			}
		}
		if strings.Contains(key, "_") && strings.EqualFold(strings.ReplaceAll(key, "_", "-"), strings.ReplaceAll(name, "_", "-")) && !strings.EqualFold(key, name) {
			v.Ambiguous = true
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
	return value{Kind: textValue, Text: list[0], Ambiguous: len(list) > 1}
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
				v.Ambiguous = true
				return v
			}
			continue
		}
		if strings.ContainsAny(text, ";#") { // a server may end the value here
			return value{Kind: textValue, Ambiguous: true}
		}
		if v.Kind != absent {
			v.Ambiguous = true
			return v
		}
		v = value{Kind: textValue, Text: unquery(text)}
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

// formValues reads the fields of a form that the operation looks at.
func (in *intake) formValues() {
	if !form.Is(in.f.ContentType) {
		for _, f := range in.op.forms {
			in.r.values[f.slot] = queryValue("?"+strings.ReplaceAll(string(in.f.Body), "#", "%23"), f.Name)
		}
		return
	}
	parts, err := form.Read(in.f.ContentType, in.f.Body)
	if err != nil {
		in.formBad = err
		for _, f := range in.op.forms { // what the upstream would find in them is not known
			in.r.values[f.slot].Ambiguous = true
		}
		return
	}
	for i := range parts {
		for _, f := range in.op.forms {
			readPart(&in.r.values[f.slot], &parts[i], f.Name)
		}
	}
}

// readPart sets v to a part's value if the part has the name, or one that a server could take for it: in another case, or as a list.
func readPart(v *value, part *form.Part, name string) {
	base, _, _ := strings.Cut(part.Name, "[")
	switch {
	case !strings.EqualFold(base, name):
	case v.Kind != absent || part.Name != name || part.File:
		v.Kind, v.Ambiguous = textValue, true
	case len(part.Value) > maxFormValue:
		v.Kind = otherValue
	default:
		v.Kind, v.Text = textValue, string(part.Value)
	}
}

// strictForm refuses a form that parsers read in different ways, and a body
// that is no form where one of the fields is a form's.
func (in *intake) strictForm(fields []*Field) *Refusal {
	if form.Is(in.f.ContentType) && len(in.f.Body) > 0 && in.formBad == nil && len(in.op.forms) == 0 {
		_, in.formBad = form.Read(in.f.ContentType, in.f.Body)
	}
	if in.formBad != nil {
		return refuse(400, BodyNotForm, "", "the form can't be read in one way: %s", in.formBad)
	}
	return in.needsForm(fields)
}

// strict refuses fields that are ambiguous, or that a body of this kind can't have.
func (in *intake) strict(fields []*Field) *Refusal {
	if refusal := in.needsForm(fields); refusal != nil {
		return refusal
	}
	return in.unambiguous(fields)
}

// needsForm refuses a body that is no form where one of the fields is a form's:
// the upstream may read the same name in JSON.
func (in *intake) needsForm(fields []*Field) *Refusal {
	if in.form || len(in.f.Body) == 0 {
		return nil
	}
	for _, f := range fields {
		if f.From == FromForm {
			return refuse(400, BodyNotForm, f.Text, "the price needs %s, and the body is no form; send it as multipart/form-data", f.Text)
		}
	}
	return nil
}

// labels are the values of the extra report columns.
func (in *intake) labels() (labels map[string]string) {
	for _, l := range in.r.book.Labels {
		v := &in.r.values[l.Field.slot]
		if v.Kind == absent || v.Kind == otherValue {
			continue
		}
		if labels == nil {
			labels = make(map[string]string, len(in.r.book.Labels))
		}
		labels[l.Name] = v.Text
	}
	return labels
}
