package pricing_test

import (
	"errors"
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

const strictFile = `
version: 1
credit: {name: credit}
operations:
  clip:
    match: POST /v1/clips
    measure: {second: {from: query.seconds, default: 1}}
    price: {per_second: 1}
    adjust: [{when: {header.X-Lane: slow}, times: 0.5}]
  image:
    match: POST /v1/images
    measure: {image: {from: body.n, default: 1}}
    price: {per_image: 1}
`

// What the price depends on is read in one way, or the request is refused.
func TestRequestsReadInOneWay(t *testing.T) {
	b, problems := pricefile.Load("pricing.yaml", []byte(strictFile))
	if b == nil {
		t.Fatal(problems)
	}
	for _, tt := range []struct {
		name, uri, body string
		header          map[string][]string
		reason          string // "": it is priced
	}{
		{"plain", "/v1/clips?seconds=3", "", nil, ""},
		{"a member of the body", "/v1/images", `{"n":2}`, nil, ""},
		{"a member twice", "/v1/images", `{"n":1,"n":9}`, nil, pricing.AmbiguousRequest},
		{"a member in another case", "/v1/images", `{"n":1,"N":9}`, nil, pricing.AmbiguousRequest},
		{"another parameter", "/v1/clips?x=1;y&seconds=3", "", nil, ""},
		{"fragment", "/v1/clips?x=1#&seconds=100", "", nil, pricing.AmbiguousRequest},
		{"encoded fragment is a value", "/v1/clips?x=1%23&seconds=3", "", nil, ""},
		{"fragment in the value", "/v1/clips?seconds=1%23x", "", nil, pricing.QuantityInvalid},
		{"twice", "/v1/clips?seconds=1&seconds=100", "", nil, pricing.AmbiguousRequest},
		{"another case", "/v1/clips?Seconds=100", "", nil, pricing.AmbiguousRequest},
		{"as a list", "/v1/clips?seconds[]=100", "", nil, pricing.AmbiguousRequest},
		{"as an encoded list", "/v1/clips?seconds%5B0%5D=100", "", nil, pricing.AmbiguousRequest},
		{"encoded name", "/v1/clips?second%73=3", "", nil, ""},
		{"behind a semicolon", "/v1/clips?x=1;seconds=100", "", nil, pricing.AmbiguousRequest},
		{"semicolon in the value", "/v1/clips?seconds=1;2", "", nil, pricing.AmbiguousRequest},
		{"path parameter", "/v1/clips;x?seconds=1", "", nil, pricing.AmbiguousRequest},
		{"parameter of a dot segment", "/v1/..;/v1/clips", "", nil, pricing.AmbiguousRequest},
		{"overlong dot", "/v1/%c0%ae/clips", "", nil, pricing.AmbiguousRequest},
		{"encoded slash", "/v1%2fclips", "", nil, pricing.AmbiguousRequest},
		{"encoded question mark", "/v1/clips%3fseconds=1", "", nil, pricing.AmbiguousRequest},
		{"encoded hash", "/v1/clips%23", "", nil, pricing.AmbiguousRequest},
		{"encoded backslash", "/v1%5Cclips", "", nil, pricing.AmbiguousRequest},
		{"encoded semicolon", "/v1/clips%3Bx", "", nil, pricing.AmbiguousRequest},
		{"encoded per cent sign", "/v1/clips%2561", "", nil, pricing.AmbiguousRequest},
		{"encoded letter", "/v1/cl%69ps?seconds=3", "", nil, ""},
		{"empty and dot segments", "//v1/x/..//./clips?seconds=3", "", nil, ""},
		{"control character", "/v1/clips%0a", "", nil, pricing.AmbiguousRequest},
		{"no slash", "v1/clips", "", nil, pricing.AmbiguousRequest},
		{"header", "/v1/clips", "", map[string][]string{"X-Lane": {"slow"}}, ""},
		{"header that does not arrive", "/v1/clips", "", map[string][]string{"X-Lane": {"slow"}, "Connection": {"keep-alive, x-lane"}}, pricing.AmbiguousRequest},
		{"header with an underscore", "/v1/clips", "", map[string][]string{"X_Lane": {"slow"}}, pricing.AmbiguousRequest},
		{"header twice", "/v1/clips", "", map[string][]string{"X-Lane": {"slow", "fast"}}, pricing.AmbiguousRequest},
		{"one", "/v1/images", `{"n":1}`, nil, ""},
		{"none", "/v1/images", `{"n":0}`, nil, pricing.QuantityInvalid},
		{"none, otherwise written", "/v1/images", `{"n":0e5}`, nil, pricing.QuantityInvalid},
		{"less than none", "/v1/images", `{"n":-0}`, nil, pricing.QuantityInvalid},
		{"a part", "/v1/images", `{"n":0.5}`, nil, pricing.QuantityInvalid},
		{"a text", "/v1/images", `{"n":"0"}`, nil, pricing.QuantityInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := b.Read(&pricing.Facts{Method: "POST", URI: tt.uri, Body: []byte(tt.body), Header: tt.header, ContentType: "application/json"})
			var r *pricing.Refusal
			if errors.As(err, &r); err == nil && tt.reason != "" || err != nil && (r == nil || r.Reason != tt.reason) {
				t.Errorf("%v, want %q", err, tt.reason)
			}
		})
	}
}

const pathFile = `
version: 1
credit: {name: credit, decimals: 3}
operations:
  chat: {match: "/*", price: by_model}
models:
  dear: {per_1k_tokens: {input: 1, output: 1}}
  cheap: {per_1k_tokens: {input: 0.1, output: 0.1}}
`

// The model of the path is the one that runs; a body may only repeat it.
func TestThePathNamesTheModel(t *testing.T) {
	b, problems := pricefile.Load("pricing.yaml", []byte(pathFile))
	if b == nil {
		t.Fatal(problems)
	}
	for _, tt := range []struct {
		path, body string
		ok         bool
	}{
		{"dear", `{}`, true},
		{"dear", `{"model":"dear"}`, true},
		{"dear", `{"model":"models/dear"}`, true},
		{"dear", `{"model":"cheap"}`, false},
		{"dear", `{"model":"dear","model":"cheap"}`, false},
		{"dear", `{"Model":"cheap"}`, false},
		{"dear", `{"model":["cheap"]}`, false},
	} {
		r, err := b.Read(&pricing.Facts{Method: "POST", URI: "/x/y", PathModel: tt.path, Body: []byte(tt.body), ContentType: "application/json"})
		if (err == nil) != tt.ok {
			t.Errorf("%s %s: %v", tt.path, tt.body, err)
		}
		if err == nil && r.Asked.Model != "dear" {
			t.Errorf("%s %s: priced as %s", tt.path, tt.body, r.Asked.Model)
		}
	}
}

const formFile = `
version: 1
credit: {name: credit}
operations:
  dear:
    match: POST /v1/edits
    where: {form.kind: dear}
    price: 100
  cheap: {match: POST /v1/edits, price: 1}
  json: {match: POST /v1/json, where: {body.kind: dear}, price: 100}
  rest: {match: POST /v1/json, price: 1}
`

// A condition on a form, or on JSON, is not passed by a body of the other kind.
func TestConditionsOnTheBodyNeedTheirKind(t *testing.T) {
	b, problems := pricefile.Load("pricing.yaml", []byte(formFile))
	if b == nil {
		t.Fatal(problems)
	}
	const multipart = "multipart/form-data; boundary=b"
	field := func(head, value string) string { return "--b\r\n" + head + "\r\n\r\n" + value + "\r\n--b--\r\n" }
	const kind = `Content-Disposition: form-data; name="kind"`
	for _, tt := range []struct{ path, contentType, body, want string }{
		{"/v1/edits", multipart, field(kind, "dear"), "dear"},
		{"/v1/edits", multipart, field(kind, "plain"), "cheap"},
		{"/v1/edits", "application/x-www-form-urlencoded", "kind=dear", "dear"},
		{"/v1/edits", "", "", "cheap"},
		{"/v1/edits", "application/json", `{"kind":"dear"}`, pricing.BodyNotForm},
		{"/v1/edits", "application/x-www-form-urlencoded", `{"kind":"dear"}`, pricing.BodyNotForm},
		{"/v1/edits", "text/plain", "kind=dear", pricing.BodyNotForm},
		{"/v1/edits", multipart, field(`Content-Disposition: form-data; name*=utf-8''kind`, "dear"), pricing.BodyNotForm},
		{"/v1/edits", multipart, field(kind, "plain") + field(kind, "dear"), pricing.BodyNotForm},
		{"/v1/edits", "application/x-www-form-urlencoded", "kind=plain&kind=dear", pricing.AmbiguousRequest},
		{"/v1/json", "text/plain", `{"kind":"dear"}`, "json"},
		{"/v1/json", multipart, field(kind, "dear"), pricing.BodyNotJSON},
		{"/v1/json", "application/json", "\xef\xbb\xbf" + `{"kind":"dear"}`, pricing.BodyNotJSON},
	} {
		r, err := b.Read(&pricing.Facts{Method: "POST", URI: tt.path, Body: []byte(tt.body), ContentType: tt.contentType})
		got := ""
		var refusal *pricing.Refusal
		if errors.As(err, &refusal) {
			got = refusal.Reason
		} else if r != nil {
			got = r.Operation().ID
		}
		if got != tt.want {
			t.Errorf("%s %s %q: %s, want %s", tt.path, tt.contentType, tt.body, got, tt.want)
		}
	}
}
