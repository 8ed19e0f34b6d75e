package dialect

import "github.com/farebox-dev/farebox/internal/jsonscan"

// textKind says what a member below a text root is.
type textKind uint8

const (
	textString textKind = iota + 1 // a string: delivered text
	textJSON                       // any value: its JSON is delivered text (tool-call arguments as objects)
	textFinish                     // a string that ends the answer (finish_reason)
)

// textSpec says where an answer carries what the model generated: every member named in keys, anywhere below a top-level
// member named in roots. A root that is itself a string is text.
type textSpec struct {
	roots []string
	keys  map[string]textKind
}

// walkText finds the text members below v and tells r.
func (r *Reader) walkText(v []byte) {
	keys := r.api.profile.text.keys
	for i := 0; i < len(v); {
		if v[i] != '"' {
			i++
			continue
		}
		end := jsonscan.SkipString(v, i)
		if end < 0 {
			return
		}
		colon := jsonscan.SkipSpace(v, end)
		if colon >= len(v) || v[colon] != ':' {
			i = end
			continue
		}
		kind := keys[string(v[i+1:end-1])]
		i = jsonscan.SkipSpace(v, colon+1)
		if kind == 0 || i >= len(v) {
			continue
		}
		if kind != textJSON && v[i] != '"' {
			continue // null, or an object below the same name: walk into it
		}
		if end = jsonscan.SkipValue(v, i); end < 0 {
			return
		}
		switch {
		case kind == textFinish:
			r.stopReason(v[i:end])
		case v[i] == '"':
			r.addText(v[i+1 : end-1])
		case v[i] == '{' || v[i] == '[':
			r.addText(v[i:end])
		}
		i = end
	}
}
