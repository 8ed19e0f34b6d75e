package meter

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/input"
)

const labelledBook = `version: 1
credit: {name: credit, decimals: 3}
labels: {team: header.X-Team}
operations:
  chat: {match: POST /v1/chat/completions, price: by_model}
  gift: {match: POST /gifts, model: none, price: free}
models:
  "*": {per_1k_tokens: {input: 1, output: 8}}
plans:
  basic: {credits: [{type: free, amount: 1_000_000}]}
default_plan: basic
`

// A text that is kept is limited, on whatever way it comes: the request is refused with the name of the text, its size and the limit.
func TestTextsThatAreKeptAreLimited(t *testing.T) {
	g := newGateOf(t, labelledBook, "basic")
	long, longest := strings.Repeat("x", input.LongestText+1), strings.Repeat("x", input.LongestText)
	for _, tt := range []struct {
		field string
		with  func(r *Request, text string)
	}{
		{"model", func(r *Request, text string) { r.Body = fmt.Appendf(nil, `{"model":%q,"messages":[]}`, text) }},
		{"label team", func(r *Request, text string) { r.Header["X-Team"] = []string{text} }},
		{"member", func(r *Request, text string) { r.Caller.Member = text }},
		{"key", func(r *Request, text string) { r.Caller.Key = text }},
		{"Idempotency-Key", func(r *Request, text string) { r.Idempotency = text }},
	} {
		for _, path := range []string{chat, "/gifts"} {
			ask := func(text string) error {
				r := post(path, `{"model":"words","messages":[]}`)
				r.Header = map[string][]string{}
				tt.with(r, text)
				c, err := g.m.Admit(t.Context(), r)
				if err == nil {
					g.ends(c, 200, jsonType, `{}`)
				}
				return err
			}
			if tt.field != "model" || path == chat {
				err := ask(long)
				var d *Refusal
				if !errors.As(err, &d) {
					t.Fatalf("%s at %s: %v", tt.field, path, err)
				}
				if d.Reason != TextTooLong || d.Field != tt.field || !strings.Contains(d.Message, "257 bytes, and at most 256") {
					t.Errorf("%s at %s: %+v", tt.field, path, d)
				}
			}
			if err := ask(longest); err != nil {
				t.Errorf("%s at %s: %v", tt.field, path, err)
			}
		}
	}
}

// All texts of a charge are bounded, whatever the client sends and the upstream answers.
func TestNoTextOfAChargeIsLong(t *testing.T) {
	g := newGateOf(t, labelledBook, "basic")
	longest, huge := strings.Repeat("x", input.LongestText), strings.Repeat("é", 150_000)
	r := post(chat, fmt.Sprintf(`{"model":%q,"messages":[],"service_tier":%q}`, longest, huge))
	r.Header = map[string][]string{"X-Team": {longest}, "User-Agent": {huge}}
	c, err := g.m.Admit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	g.ends(c, 200, jsonType, fmt.Sprintf(`{"id":%q,"model":%q,"error":{"code":%q,"type":%q,"message":%q}}`, huge, huge, huge, huge, huge))
	charge := g.record(c)
	texts(t, "charge", reflect.ValueOf(*charge), func(at, text string) {
		if len(text) > input.LongestText+len("upstream error ") {
			t.Errorf("%s has %d bytes", at, len(text))
		}
	})
}

// texts calls fn with each text in v.
func texts(t *testing.T, at string, v reflect.Value, fn func(at, text string)) {
	switch v.Kind() {
	case reflect.String:
		fn(at, v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			texts(t, at+"."+v.Type().Field(i).Name, v.Field(i), fn)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			texts(t, fmt.Sprintf("%s[%d]", at, i), v.Index(i), fn)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			fn(at, k.String())
			texts(t, at+"["+k.String()+"]", v.MapIndex(k), fn)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			texts(t, at, v.Elem(), fn)
		}
	default: // no text
	}
}
