package directory

import (
	"maps"
	"testing"
)

// Wherever a key is read it is taken out: of what goes upstream, and of what is
// kept in the store.
func TestAKeyIsStrippedWhereverItIsRead(t *testing.T) {
	const key = KeyPrefix + "0123456789"
	for _, tt := range []struct {
		name, value, query string
		left, leftQuery    string
	}{
		{name: "Authorization", value: "Bearer " + key},
		{name: "Authorization", value: "bearer  " + key},
		{name: "X-Api-Key", value: key},
		{name: "X-Goog-Api-Key", value: key},
		{name: "Api-Key", value: key},
		{name: "Sec-Websocket-Protocol", value: "realtime, openai-insecure-api-key." + key + ",x", left: "realtime, x"},
		{name: "Sec-Websocket-Protocol", value: "openai-insecure-api-key." + key},
		{query: "key=" + key},
		{query: "k%65y=" + key},
		{query: "%6b%65%79=" + key + "&alt=sse", leftQuery: "alt=sse"},
		{query: "a=1&key=" + key + "&b=2&key=other", leftQuery: "a=1&b=2"},
		{query: "key=fb%5Flive_0123456789&monkey=1", leftQuery: "monkey=1"},
	} {
		header := map[string][]string{}
		if tt.name != "" {
			header[tt.name] = []string{tt.value}
		}
		if got := SecretOf(header, tt.query); got != key {
			t.Errorf("%s %s ?%s: key %q", tt.name, tt.value, tt.query, got)
		}
		query := StripKeys(header, tt.query)
		want := map[string][]string{}
		if tt.left != "" {
			want[tt.name] = []string{tt.left}
		}
		if query != tt.leftQuery || !maps.EqualFunc(header, want, func(a, b []string) bool { return len(a) == 1 && a[0] == b[0] }) {
			t.Errorf("%s %s ?%s: header %v, query %q are left", tt.name, tt.value, tt.query, header, query)
		}
		if SecretOf(header, query) != "" {
			t.Errorf("%s %s ?%s: a key is left", tt.name, tt.value, tt.query)
		}
		wantURI := "/v1/x"
		if tt.leftQuery != "" {
			wantURI += "?" + tt.leftQuery
		}
		if got := StripURI("/v1/x?" + tt.query); got != wantURI {
			t.Errorf("kept as %q, want %q", got, wantURI)
		}
	}
}

// A request that has no key goes on as it came.
func TestNothingElseIsStripped(t *testing.T) {
	header := map[string][]string{"Sec-Websocket-Protocol": {"realtime", "x"}, "Accept": {"*/*"}}
	if q := StripKeys(header, "a=1&&b=%zz&monkey=1"); q != "a=1&&b=%zz&monkey=1" || len(header) != 2 || len(header["Sec-Websocket-Protocol"]) != 2 {
		t.Errorf("%q %v", q, header)
	}
}
