package pricing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

const shop = `version: 1
credit: {name: credit, decimals: 3}
operations:
  image:
    match: POST /v1/images
    model: none
    measure:
      image: {from: body.n, default: 1, max: 10}
      second: {from: body.clip.seconds, default: 0, text: true}
    price: {per_image: 2, per_second: 0.1}
    adjust:
      - {when: {body.size: {above: 100}, body.hd: true}, times: 2}
      - {when: {body.style: "art-*"}, times: 3}
  least:
    match: POST /v1/least
    measure: {page: {from: body.pages, min: 1}}
    price: {per_page: 1}
  nested: {match: POST /v1/nested, quantity: "body.items.1.size", price: 1}
  counted: {match: POST /v1/counted, quantity: "body.a.b.#", price: 1}
  upload: {match: PUT /v1/files/*, quantity: form.pages, price: 1}
  open: {match: GET /v1/open/*, price: free}
  secret: {match: POST /Admin/Run, price: 5}
`

func TestQuantities(t *testing.T) {
	b := load(t, shop)
	for _, c := range []struct{ path, body, want string }{
		{"/v1/images", ``, "2"},
		{"/v1/images", `{}`, "2"},
		{"/v1/images", `[]`, "2"},
		{"/v1/images", `"n"`, "2"},
		{"/v1/images", ` {"n" : 3 } `, "6"},
		{"/v1/images", `{"n":2.0}`, "4"},
		{"/v1/images", `{"n":1e0}`, "2"},
		{"/v1/images", `{"n":20e-1}`, "4"},
		{"/v1/images", `{"n":-0}`, "quantity_invalid"},
		{"/v1/images", `{"n":0}`, "quantity_invalid"},
		{"/v1/images", `{"n":null}`, "2"},
		{"/v1/images", `{"n":2.5}`, "quantity_invalid"},
		{"/v1/images", `{"n":-3}`, "quantity_invalid"},
		{"/v1/images", `{"n":"4"}`, "quantity_invalid"},
		{"/v1/images", `{"n":[1]}`, "quantity_invalid"},
		{"/v1/images", `{"n":{}}`, "quantity_invalid"},
		{"/v1/images", `{"n":true}`, "quantity_invalid"},
		{"/v1/images", `{"n":11}`, "quantity_too_large"},
		{"/v1/images", `{"n":1e15}`, "quantity_too_large"},
		{"/v1/images", `{"n":1e999}`, "quantity_too_large"},
		{"/v1/images", `{"n":1e-999}`, "quantity_invalid"},
		{"/v1/images", `{"n":99999999999999999999}`, "quantity_too_large"},
		{"/v1/images", `{"n":01}`, "body_not_json"},
		{"/v1/images", `{"n":+1}`, "body_not_json"},
		{"/v1/images", `{"n":1}x`, "body_not_json"},
		{"/v1/images", `{"n":1}{}`, "body_not_json"},
		{"/v1/images", "\xef\xbb\xbf{}", "body_not_json"},
		{"/v1/images", `{"n":1,}`, "body_not_json"},
		{"/v1/images", "{\"a\":\"\n\"}", "body_not_json"},
		{"/v1/images", `{"a":"\x"}`, "body_not_json"},
		{"/v1/images", strings.Repeat("[", 100_000), "body_not_json"},
		{"/v1/images", strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "body_not_json"},
		// T-1: keys that occur twice, also escaped, also in another case
		{"/v1/images", `{"n":1,"n":9}`, "ambiguous_request"},
		{"/v1/images", `{"n":1,"\u006e":9}`, "ambiguous_request"},
		{"/v1/images", `{"N":9}`, "ambiguous_request"},
		{"/v1/images", `{"n":1,"\u004E":9}`, "ambiguous_request"},
		{"/v1/images", `{"clip":{"seconds":1},"Clip":{}}`, "ambiguous_request"},
		{"/v1/images", `{"\u006e":3}`, "6"},
		{"/v1/images", `{"x":1,"x":2,"deep":{"n":1,"n":2}}`, "2"},
		{"/v1/images", `{"clip":[{"seconds":5},{"seconds":6}]}`, "2"},
		{"/v1/images", `{"\u017fize":101,"size":1}`, "ambiguous_request"}, // ſ folds to s
		// strings with numbers, only where the file says so
		{"/v1/images", `{"clip":{"seconds":"8.5"}}`, "2.85"},
		{"/v1/images", `{"clip":{"seconds":"8s"}}`, "quantity_invalid"},
		{"/v1/images", `{"clip":{"seconds":"-8"}}`, "quantity_invalid"},
		{"/v1/images", `{"clip":{"seconds":"1e3"}}`, "quantity_invalid"},
		{"/v1/images", `{"clip":{"seconds":"1_0"}}`, "quantity_invalid"},
		{"/v1/images", `{"clip":{"seconds":""}}`, "quantity_invalid"},
		// conditions
		{"/v1/images", `{"size":101,"hd":true}`, "4"},
		{"/v1/images", `{"size":100,"hd":true}`, "2"},
		{"/v1/images", `{"size":"101","hd":true}`, "quantity_invalid"},
		{"/v1/images", `{"size":"101","hd":false}`, "2"},
		{"/v1/images", `{"size":-5,"hd":true}`, "2"},
		{"/v1/images", `{"size":1e999,"hd":true}`, "4"},
		{"/v1/images", `{"hd":true}`, "2"},
		{"/v1/images", `{"style":"art-deco"}`, "6"},
		{"/v1/images", `{"style":"ART-deco"}`, "2"},
		{"/v1/images", `{"style":["art-deco"]}`, "2"},
		{"/v1/images", `{"style":null}`, "2"},
		{"/v1/least", `{"pages":0}`, "quantity_invalid"},
		{"/v1/least", `{"pages":1}`, "1"},
		{"/v1/least", `{}`, "quantity_invalid"},
		{"/v1/nested", `{"items":[{"size":1},{"size":4}]}`, "4"},
		{"/v1/nested", `{"items":{"1":{"size":5}}}`, "5"},
		{"/v1/nested", `{"items":[{"size":1}]}`, "quantity_invalid"},
		{"/v1/nested", `{"items":[1,{"size":1,"size":2}]}`, "ambiguous_request"},
		{"/v1/nested", `{"items":[{"size":1,"size":2},{"size":3}]}`, "3"},
		{"/v1/counted", `{"a":{"b":[1,[2,3],{}]}}`, "3"},
		{"/v1/counted", `{"a":{"b":[]}}`, "0"},
		{"/v1/counted", `{"a":{"b":7}}`, "quantity_invalid"},
		{"/v1/counted", `{"a":{"b":null}}`, "quantity_invalid"},
	} {
		if got := quote(t, b, "POST", c.path, c.body); got != c.want {
			t.Errorf("%s %.60s = %s, want %s", c.path, c.body, got, c.want)
		}
	}
}

// T-3: every spelling of a path that a server could take for a priced one.
func TestPaths(t *testing.T) {
	b := load(t, shop)
	for uri, want := range map[string]string{
		"/Admin/Run":                          "5",
		"/admin/run":                          "5",
		"/ADMIN//RUN/":                        "5",
		"/v1/../admin/run":                    "5",
		"/v1/%2E%2e/admin/./run":              "5",
		"/../../admin/run?x=%2F":              "5",
		"/%61dmin/run":                        "5",
		"http://host/admin/run":               "5",
		"/admin%2frun":                        "ambiguous_request",
		"/admin%5Crun":                        "ambiguous_request",
		"/admin\\run":                         "ambiguous_request",
		"/admin/run%00":                       "ambiguous_request",
		"/admin/%2572un":                      "ambiguous_request",
		"/admin/run%":                         "ambiguous_request",
		"/admin/run%zz":                       "ambiguous_request",
		"/admin/run/x":                        "operation_not_priced",
		"/admin/running":                      "operation_not_priced",
		"/":                                   "operation_not_priced",
		"":                                    "operation_not_priced",
		"/v1/open/../../admin/run":            "5",
		"/v1/open/%2e%2e/%2e%2e/%41dmin/run/": "5",
	} {
		if got := quote(t, b, "POST", uri, ""); got != want {
			t.Errorf("%q = %s, want %s", uri, got, want)
		}
	}
	if got := quote(t, b, "post", "/admin/run", ""); got != "operation_not_priced" {
		t.Errorf("a method in small letters = %s", got)
	}
}

func TestForms(t *testing.T) {
	b := load(t, shop)
	part := func(name, value string) string {
		return "--x\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	for _, c := range []struct{ kind, body, want string }{
		{"multipart/form-data; boundary=x", part("pages", "3") + "--x--\r\n", "3"},
		{"Multipart/Form-Data; boundary=x", part("a", "9") + part("pages", "3") + "--x--\r\n", "3"},
		{"multipart/form-data; boundary=x", part("pages", "3") + part("pages", "4") + "--x--\r\n", "ambiguous_request"},
		{"multipart/form-data; boundary=x", part("pages", "3"), "body_not_form"},
		{"multipart/form-data; boundary=x", part("Pages", "3") + "--x--\r\n", "ambiguous_request"},
		{"multipart/form-data; boundary=x", part("pages", strings.Repeat("1", 9000)) + "--x--\r\n", "quantity_invalid"},
		{"multipart/form-data", part("pages", "3") + "--x--\r\n", "body_not_form"},
		{"application/x-www-form-urlencoded", "a=1&pages=7", "7"},
		{"application/x-www-form-urlencoded", "pages=1&p%61ges=7", "ambiguous_request"},
		{"application/json", `{"pages":3}`, "body_not_form"},
		{"application/x-www-form-urlencoded", `{"x":"&pages=1"}`, "body_not_form"},
	} {
		f := &pricing.Facts{Method: "PUT", URI: "/v1/files/1", Body: []byte(c.body), ContentType: c.kind, At: monday}
		if got := quoteFacts(t, b, f, pricing.Usage{}); got != c.want {
			t.Errorf("%s %q = %s, want %s", c.kind, c.body, got, c.want)
		}
	}
}

// A model in a form is read where the API has it there, and a body that is no
// JSON does not matter for what only JSON could say.
func TestModelInForm(t *testing.T) {
	b := loadBook(t, fixtures+"/examples/6-reselling-openai-anthropic.yaml")
	body := "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x\r\n" +
		"Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n\x00\xff\r\n--x--\r\n"
	f := &pricing.Facts{Method: "POST", URI: "/v1/audio/transcriptions", Body: []byte(body), ContentType: "multipart/form-data; boundary=x", At: monday}
	r, err := b.Read(f)
	if err != nil || r.Model().ID() != "whisper-1" {
		t.Fatalf("%v", err)
	}
}

func TestModelLookup(t *testing.T) {
	b := load(t, `version: 1
credit: {name: c}
operations:
  chat: {match: [POST /v1/chat, "POST /v1beta/*"], price: by_model}
  azure: {match: POST /deployments/*/chat, model: path.1, price: by_model}
  head: {match: POST /head, model: header.X-Model, price: by_model}
models:
  a: {per_request: 1}
  a-2025-01-02: {per_request: 2}
  a-*: {per_request: 3}
  a-b*: {per_request: 4}
  "*-z": {per_request: 5}
  later: {per_request: 6, effective_from: 2027-01-01}
  soon: {like: a, effective_from: "2026-06-15T12:00:00Z"}
  zero: {per_request: 0}
`)
	for name, want := range map[string]string{
		"a": "1", "a-20250102": "1", "a-2025-01-02": "2", "a-2025-1-2": "3", "a-2025010": "3", "a-b": "4", "a-b-20250101": "4",
		"x-z": "5", "x-z-20250101": "5", "A": "model_not_priced", "b": "model_not_priced", "": "missing_model",
		"later": "model_not_priced", "soon": "1", "zero": "0",
		"-20250102": "model_not_priced", "a*": "model_not_priced", "*-z": "5",
	} {
		if got := quote(t, b, "POST", "/v1/chat", `{"model":"`+name+`"}`); got != want {
			t.Errorf("model %q = %s, want %s", name, got, want)
		}
	}
	for body, want := range map[string]string{
		`{"model":1}`: "missing_model", `{"model":null}`: "missing_model", `{}`: "missing_model", ``: "missing_model",
		`{"model":"a","Model":"b"}`: "ambiguous_request", `{"model":"a","mod\u0065l":"b"}`: "ambiguous_request", `x`: "body_not_json",
	} {
		if got := quote(t, b, "POST", "/v1/chat", body); got != want {
			t.Errorf("body %s = %s, want %s", body, got, want)
		}
	}
	for uri, want := range map[string]string{
		"/v1beta/models/a-b:generateContent": "4", "/v1beta/Models/a%3AstreamGenerateContent": "1",
		"/v1beta/tuned/a:generateContent": "missing_model", "/deployments/a/chat": "1", "/deployments/a-2025-01-02/chat": "2", "/head": "missing_model",
	} {
		if got := quote(t, b, "POST", uri, ""); got != want {
			t.Errorf("%s = %s, want %s", uri, got, want)
		}
	}
}

func TestRoute(t *testing.T) {
	b := load(t, shop)
	for _, c := range []struct {
		method, uri string
		body, free  bool
		refusal     string
	}{
		{"POST", "/v1/images", true, false, ""},
		{"PUT", "/v1/files/1", true, false, ""},
		{"POST", "/admin/run", false, false, ""},
		{"GET", "/v1/open/x", false, true, ""},
		{"GET", "/v2", false, false, "operation_not_priced"},
		{"GET", "/a%2fb", false, false, "ambiguous_request"},
	} {
		r := b.Route(c.method, c.uri)
		reason := ""
		if r.Refusal != nil {
			reason = r.Refusal.Reason
		}
		if r.NeedsBody != c.body || r.Free != c.free || reason != c.refusal {
			t.Errorf("%s %s = %+v", c.method, c.uri, r)
		}
	}
}

// Read must not keep what belongs to the caller.
func TestReadCopies(t *testing.T) {
	b := load(t, shop)
	f := jsonFacts("POST", "/v1/images", `{"n":3,"style":"art-deco"}`)
	r, err := b.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Body {
		f.Body[i] = 'x'
	}
	q, err := r.Cost(&pricing.Answer{Status: 200}, nil, pricing.FreeLeft{})
	if err != nil || q.Amount.Text(3) != "18" {
		t.Errorf("%v %v", q, err)
	}
}

func TestPackAmount(t *testing.T) {
	b := loadBook(t, fixtures+"/examples/7-corner-cases.yaml")
	price := pricing.Money{Amount: money.FromInt(10), Currency: "EUR"}
	if a, err := b.Pack("cash").Amount(&price); err != nil || a.Text(3) != "333.333" {
		t.Errorf("%v %v", a, err)
	}
	if _, err := b.Pack("cash").Amount(&pricing.Money{Currency: "USD"}); err == nil {
		t.Error("another currency was taken")
	}
	if a, err := b.Pack("ream").Amount(nil); err != nil || a.Text(3) != "1000" || b.Pack("ream").SellsTo("visitor") || !b.Pack("ream").SellsTo("press") {
		t.Errorf("%v %v", a, err)
	}
}

func TestEffectiveOperation(t *testing.T) {
	b := load(t, "version: 1\ncredit: {name: c}\noperations:\n  new: {match: /a, price: 2, effective_from: 2026-07-01}\n  old: {match: /a, price: 1}\n")
	f := jsonFacts("GET", "/a", "")
	if got := quoteFacts(t, b, f, pricing.Usage{}); got != "1" {
		t.Errorf("before: %s", got)
	}
	f.At = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	if got := quoteFacts(t, b, f, pricing.Usage{}); got != "2" {
		t.Errorf("after: %s", got)
	}
}
