package dialect

import (
	"encoding/json"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/form"
)

// maxField bounds one form field that is read; a longer one is no number and no text that a model is asked, but a file.
const maxField = 1 << 20

// Body is a request body, read once: by the reader of forms that pricing has, too.
type Body struct {
	Kind  form.Kind
	raw   []byte // as sent
	doc   []byte // JSON; of a form, its short fields
	files [][]byte
	odd   bool // its Content-Type is a form's to some servers only
}

// ReadBody reads a decoded body by its Content-Type. A form that can't be read in one way has no fields; pricing refuses it.
func ReadBody(contentType string, raw []byte) Body {
	b := Body{Kind: form.KindOf(contentType, raw), raw: raw, doc: raw}
	switch b.Kind {
	case form.Multipart:
		parts, err := form.Read(contentType, raw)
		if err != nil {
			parts = nil
		}
		b.fields(parts)
	case form.URLEncoded:
		b.fields(form.Fields(raw))
	case form.Other:
		kind := strings.ToLower(contentType)
		b.odd = len(raw) > 0 && (strings.Contains(kind, "multipart") || strings.Contains(kind, "urlencoded"))
	case form.JSON:
	}
	return b
}

// JSONBody is a body without a Content-Type.
func JSONBody(raw []byte) Body { return ReadBody("", raw) }

// Readable reports whether the body is JSON, a form, or nothing that some server could take for either.
func (b *Body) Readable() bool {
	return !b.odd && (b.Kind != form.JSON || jsonscan.Valid(b.raw))
}

// fields turns the short text fields into a JSON object, so that they are read by the same rules as a JSON body; repeated fields
// stay repeated. name[] and name[0] are name to many servers.
func (b *Body) fields(parts []form.Part) {
	b.doc = []byte{'{'}
	for i := range parts {
		p := &parts[i]
		if p.File || len(p.Value) > maxField {
			b.files = append(b.files, p.Value)
			continue
		}
		name, _, _ := strings.Cut(p.Name, "[")
		if name == "" {
			continue
		}
		if len(b.doc) > 1 {
			b.doc = append(b.doc, ',')
		}
		b.doc = append(append(b.doc, quote(name)...), ':')
		if text := string(p.Value); text == "true" || text == "false" {
			b.doc = append(b.doc, text...)
		} else {
			b.doc = append(b.doc, quote(text)...)
		}
	}
	b.doc = append(b.doc, '}')
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // cannot happen: strings always marshal
	}
	return b
}
