package form

import "testing"

func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		kind, body string
		want       Kind
		sent       string // "": as it came
	}{
		{"application/json", `{"n":1}`, JSON, ""},
		{"application/json; charset=UTF-8", ` {"n":1}`, JSON, ""},
		{"application/vnd.api+json", `[1]`, JSON, ""},
		{"application/json; charset=utf-16", `{}`, JSON, "application/json"},
		{"application/json; charset=utf-8; charset=utf-16", `{}`, JSON, "application/json"},
		{"application/json, multipart/form-data; boundary=b", `{}`, JSON, "application/json"},
		{"text/plain", `{}`, JSON, "application/json"},
		{"text/plain; x=multipart; boundary=b", `{}`, JSON, "application/json"},
		{"application/x-www-form-urlencoded", `{"n":1}`, JSON, "application/json"},
		{"", `{}`, JSON, "application/json"},
		{"application/json", "\xef\xbb\xbf{}", JSON, ""},
		{"application/json", "\xff\xfe{\x00}\x00", JSON, ""},
		{"application/json", "\x00{\x00}", JSON, ""},
		{"application/json", "// a comment\n{}", JSON, ""},
		{"application/x-www-form-urlencoded", "n=1", URLEncoded, ""},
		{"application/x-www-form-urlencoded; charset=utf-16", "n=1", URLEncoded, "application/x-www-form-urlencoded"},
		{"Multipart/Form-Data ; boundary=b", "--b--", Multipart, ""},
		{"multipart/form-data; boundary=b", "{}", Multipart, ""},
		{"multipart/mixed; boundary=b", "--b--", Other, ""},
		{"audio/wav", "RIFF", Other, ""},
		{"", "", Other, ""},
	} {
		got := KindOf(c.kind, []byte(c.body))
		if c.sent == "" {
			c.sent = c.kind
		}
		if sent := got.SentType(c.kind); got != c.want || sent != c.sent {
			t.Errorf("%q %q: %d, goes on as %q, want %d %q", c.kind, c.body, got, sent, c.want, c.sent)
		}
	}
}

// Both readings of a server that splits at semicolons, and of one that does not, are there.
func TestFieldsOfAnEncodedForm(t *testing.T) {
	got := map[string]string{}
	for _, p := range Fields([]byte("a=1&b=2;c=3&d%5B%5D=x+y&%zz=q&e")) {
		got[p.Name] = string(p.Value)
	}
	for name, want := range map[string]string{"a": "1", "b": "2;c=3", "c": "3", "d[]": "x y", "%zz": "q", "e": ""} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
}
