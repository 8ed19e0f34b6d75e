package integration

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/farebox-dev/farebox/internal/lenient"
)

// attackPrices make the cost tell what was priced: the model in the millions
// and ones, pictures, and seconds.
func attackPrices(string) string {
	op := func(name, kind string) string {
		return fmt.Sprintf(`  %s:
    match: POST /%[1]s
    model: %[2]s.model
    measure: {picture: {from: %[2]s.n, default: 1, max: 90}, second: {from: %[2]s.seconds, default: 1, max: 90}}
    price: by_model
`, name, kind)
	}
	return "version: 1\ncredit: {name: credit}\noperations:\n" + op("json", "body") + op("form", "form") + op("query", "query") + `
  cheap: {match: POST /v1/cheap, price: 1}
  dear: {match: POST /v1/dear, price: 100}
  speech: {match: POST /v1/audio/speech, model: none, price: {per_character: 1}}
  lane: {match: POST /lane, where: {form.lane: slow}, price: 100}
  fast: {match: POST /lane, price: 1}
models:
  cheap: {per_picture: 1, per_second: 100}
  dear: {per_picture: 10_000, per_second: 1_000_000}
`
}

// costOf is what a request costs as a server reads it; "" if it runs nothing.
func costOf(path string, v map[string]string) string {
	switch {
	case strings.HasPrefix(path, "/v1/audio/speech"):
		if v["input"] == "" {
			return ""
		}
		return strconv.Itoa(len(v["input"]))
	case strings.HasPrefix(path, "/lane") && v["lane"] == "slow":
		return "100"
	case strings.HasPrefix(path, "/lane"):
		return ""
	}
	number := func(name string) int {
		text := strings.TrimSpace(v[name])
		if text == "" {
			return 1
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || n <= 0 || n != float64(int(n)) {
			return -1
		}
		return int(n)
	}
	n, seconds := number("n"), number("seconds")
	if n < 0 || seconds < 0 {
		return ""
	}
	switch v["model"] {
	case "cheap":
		return strconv.Itoa(n + 100*seconds)
	case "dear":
		return strconv.Itoa(10_000*n + 1_000_000*seconds)
	}
	return ""
}

// arrived is the request as the upstream got it.
type arrived struct {
	mu   sync.Mutex
	n    int
	uri  string
	head http.Header
	body []byte
}

func (r *arrived) take() (uri string, head http.Header, body []byte, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, r.n = r.n, 0
	return r.uri, r.head, r.body, n
}

func (r *arrived) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	b, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	r.n, r.uri, r.head, r.body = r.n+1, q.RequestURI, q.Header.Clone(), b
	r.mu.Unlock()
	if q.URL.Path == "/v1/audio/speech" {
		w.Header().Set("Content-Type", "audio/mpeg")
		_, _ = io.WriteString(w, "sound")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"ok":true}`)
}

type attack struct {
	path, body string
	headers    []string
}

// attacks are bodies and queries that two servers read in two ways, or could.
func attacks() (list []attack) {
	add := func(path, contentType string, bodies ...string) {
		for _, b := range bodies {
			list = append(list, attack{path, b, []string{"Content-Type", contentType}})
		}
	}
	const cheap = `{"model":"cheap","n":1}`
	add("/json", "application/json", cheap, `{"model":"cheap","n":3,"seconds":7}`, `{"model":"dear"}`, `{"model":"cheap","model":"dear"}`, `{"model":"dear","model":"cheap"}`,
		`{"model":"cheap","mod\u0065l":"dear"}`, `{"model":"cheap","Model":"dear"}`, `{"MODEL":"dear","model":"cheap"}`, `{"model":"cheap","n":1,"n":50}`, `{"model":"cheap","N":50}`,
		`{"model":"cheap","n":"50"}`, `{"model":"cheap","n":5e1}`, `{"model":"cheap","n":1.5}`, `{"model":"cheap","n":-1}`, `{"model":"cheap","n":0}`, `{"model":"cheap","n":NaN}`,
		`{"model":"cheap","n":[50]}`, `{"model":["dear"]}`, `{"model":"cheap","x":NaN}`, `{"model":"cheap","n":50,}`, `{"model":"cheap"/**/}`, `{"model":"cheap"}{"model":"dear"}`,
		`[{"model":"dear"}]`, "\xef\xbb\xbf"+`{"model":"dear"}`, utf16(`{"model":"dear"}`, false), utf16(`{"model":"dear"}`, true), " \r\n\t"+cheap, "\x0b"+cheap, `{"model":"cheap","seconds":9,"second\u0073":1}`,
		`{"model":"cheap","n":null}`, `{"model":"cheap\u0000"}`, `{"model":"cheap","n":01}`, `{"model":"cheap","n":+5}`, `{"model":"cheap","n":0x32}`)
	for _, kind := range []string{
		"text/plain", "application/json; charset=utf-16", "application/json; charset=utf-16le", "application/octet-stream", "application/x-www-form-urlencoded", "application/json, text/plain",
		"multipart/form-data; boundary=x", "text/plain; x=multipart/form-data; boundary=b", "application/json; charset=utf-8; charset=utf-16", "application/x-json", "APPLICATION/JSON", " application/json",
	} {
		add("/json", kind, cheap, `{"model":"cheap","n":3}`, utf16(`{"model":"dear"}`, true), "model=dear", `{"model":"cheap","a":"&model=dear&n=50&x="}`,
			`{"model":"cheap","a":"`+"\\r\\n--b\\r\\nContent-Disposition: form-data; name=\\\"model\\\"\\r\\n\\r\\ndear\\r\\n--b--\"}")
		add("/form", kind, cheap, `{"model":"dear","n":9}`, "model=cheap", "model=cheap&n=2")
	}
	list = append(list,
		attack{"/json", cheap, []string{"Content-Type", "application/json", "Content-Type", "multipart/form-data; boundary=b"}},
		attack{"/json", utf16(`{"model":"dear"}`, true), []string{"Content-Type", "application/json", "Content-Type", "application/json; charset=utf-16"}},
		attack{"/form", "model=cheap", []string{"Content-Type", "application/x-www-form-urlencoded", "Content-Type", "application/json"}},
		attack{"/json", cheap, []string{"Content_Type", "multipart/form-data; boundary=b"}},
		attack{"/json", cheap, nil},
	)
	add("/form", "application/x-www-form-urlencoded", "model=cheap", "model=cheap&n=3&seconds=2", "model=cheap&model=dear", "model=cheap&n=1&n=50", "model=cheap;n=50", "model=cheap&x=1;n=50",
		"model=cheap&n[]=50", "model=cheap&n[0]=50", "model=cheap&n%5B%5D=50", "model=cheap&%6e=50", "model=cheap&N=50", "model=cheap&n=5%30", "model=cheap&n=+5", "model=cheap&n=5#&n=50",
		"model=cheap&n=%zz", "model=cheap&n%00=50", "n=50&model=cheap&n=", "\n{\"model\":\"dear\"}", "model=cheap&=&n=7")
	list = append(list, forms()...)
	for _, kind := range []string{"application/json", "text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "text/plain; multipart/form-data; boundary=b"} {
		add("/v1/audio/speech", kind, `{"input":"short"}`, `{"input":"short","input":"much longer"}`, `{"input":"short","inp\u0075t":"much longer"}`, `{"input":"short","Input":"much longer"}`,
			`{"INPUT":"much longer"}`, "\xef\xbb\xbf"+`{"input":"much longer"}`, utf16(`{"input":"much longer"}`, true), utf16(`{"input":"much longer"}`, false), `{"input":"much longer","x":NaN}`,
			"input=much+longer", "input=short&input=much+longer", "input=short;input=much+longer", "--b\r\nContent-Disposition: form-data; name=\"input\"\r\n\r\nmuch longer\r\n--b--\r\n")
		add("/lane", kind, `{"lane":"slow"}`, "lane=slow", "lane=fast&lane=slow", "lane[]=slow", "\xef\xbb\xbf"+`{"lane":"slow"}`)
	}
	for _, q := range []string{
		"model=cheap", "model=cheap&n=3", "model=cheap&n=1&n=50", "model=cheap&n[]=50", "model=cheap&n%5b%5d=50", "model=cheap;n=50", "model=cheap&x=1;n=50", "model=cheap&N=50",
		"model=cheap&%6E=50", "model=cheap&n=5%30", "model=cheap&n=1%26n=50", "?model=cheap", "model=cheap&n=1;2",
	} {
		list = append(list, attack{"/query?" + q, "", nil})
	}
	return list
}

// forms are multipart forms of the same kind.
func forms() (list []attack) {
	const kind = "multipart/form-data; boundary=b"
	part := func(head, value string) string { return "--b\r\n" + head + "\r\n\r\n" + value + "\r\n" }
	field := func(name, value string) string {
		return part(`Content-Disposition: form-data; name="`+name+`"`, value)
	}
	model := field("model", "cheap")
	add := func(contentType string, bodies ...string) {
		for _, b := range bodies {
			list = append(list, attack{"/form", b, []string{"Content-Type", contentType}})
		}
	}
	const end = "--b--\r\n"
	add(kind, model+end, model+field("n", "3")+field("seconds", "2")+end, model+field("n", "1")+field("n", "50")+end, field("model", "dear")+model+end, model+field("n[]", "50")+end, model+field("N", "50")+end,
		"preamble\r\n"+model+end, "\r\n"+model+end, model+end+field("n", "50")+end, model, model+"--b-", "--b\n"+strings.ReplaceAll(model[5:], "\r\n", "\n")+"--b--\n",
		model+part(`Content-Disposition: form-data; name*=utf-8''n`, "50")+end, model+part(`Content-Disposition: form-data; name="x"; name*=utf-8''n`, "50")+end,
		model+part(`Content-Disposition: form-data; name="x"; name="n"`, "50")+end, model+part(`Content-Disposition: form-data; name="n`, "50")+end, model+part(`content-disposition: FORM-DATA; NAME=n`, "5")+end,
		model+part("Content-Disposition: form-data;\r\n name=\"n\"", "50")+end, model+part("X: y\r\nContent-Disposition: form-data; name=\"n\"", "50")+end,
		model+part("Content-Disposition: form-data; name=\"n\"\r\nContent-Transfer-Encoding: base64", "NTA=")+end, model+part("Content-Disposition: form-data; name=\"n\"; filename=\"\"", "50")+end,
		model+part("Content-Disposition: form-data; name=\"n\"; filename*=utf-8''x", "50")+end, model+part("Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"n\"", "50")+end,
		model+field("x", "1\n--b\nContent-Disposition: form-data; name=\"n\"\n\n50")+end, model+field("x", "1--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n50")+end,
		model+field("x", "1\r\n--b \r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n50")+end, model+field("n ", "50")+end, model+field("n\x00", "50")+end, model+field("n", " 5")+end, model+field("n", "5\r\n")+end,
		model+field("model", "")+end, model+field("n", "")+end)
	other := strings.ReplaceAll(field("model", "dear"), "--b", "--c")
	add("multipart/form-data; boundary=b; boundary=c", model+end+other+"--c--\r\n")
	add("multipart/form-data; boundary=c; boundary=b", model+end+other+"--c--\r\n")
	add("multipart/form-data; boundary*0=c; boundary=b", model+end)
	add(`multipart/form-data; boundary="b"`, model+end)
	add(`multipart/form-data; boundary="\b"`, model+end)
	add("multipart/form-data; charset=utf-16; boundary=b", model+end)
	add("multipart/form-data", model+end)
	add("multipart/mixed; boundary=b", model+end)
	add("multipart/form-data, application/json; boundary=b", model+end)
	return list
}

func utf16(s string, little bool) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if little {
			b.Write([]byte{c, 0})
		} else {
			b.Write([]byte{0, c})
		}
	}
	return b.String()
}

// Whatever a request looks like: it is refused, or every server reads what was priced.
func TestWhatIsPricedIsWhatServersRead(t *testing.T) {
	up := &arrived{}
	g := start(t, setup{prices: attackPrices, upstream: func(http.Handler) http.Handler { return up }})
	key := g.account("acme", "1000000000")
	passed, left := 0, 1_000_000_000
	for _, a := range attacks() {
		answer := g.post(key, a.path, a.body, a.headers...)
		uri, head, body, n := up.take()
		if answer.StatusCode >= 400 && answer.StatusCode < 500 {
			if n != 0 {
				t.Errorf("%s %q %q: %s, and it reached the upstream", a.path, a.headers, a.body, answer.Status)
			}
			continue
		}
		passed++
		priced := answer.cost()
		if priced == "" { // sound has nothing that could say it
			now, _ := strconv.Atoi(g.settled("acme").Available)
			priced = strconv.Itoa(left - now)
		}
		cost, _ := strconv.Atoi(priced)
		left -= cost
		for _, server := range lenient.Servers {
			values, ok := server.Read(head["Content-Type"], body)
			if _, query, is := strings.Cut(uri, "?"); is {
				values, ok = lenient.Query(server.Name, query), true
			}
			if want := costOf(a.path, values); ok && want != "" && want != priced {
				t.Errorf("%s %q %q: priced at %s, and %s reads %v: %s", a.path, a.headers, a.body, priced, server.Name, values, want)
			}
		}
	}
	g.has("acme", strconv.Itoa(left))
	if passed < 20 {
		t.Errorf("only %d requests passed; the tables test nothing", passed)
	}
	t.Logf("%d of %d requests passed", passed, len(attacks()))
}

// routers are how servers find the route of a request.
var routers = map[string]func(uri string, head http.Header) string{
	"as sent":       func(uri string, _ http.Header) string { return uri },
	"decoded":       func(uri string, _ http.Header) string { return decodePath(uri) },
	"decoded twice": func(uri string, _ http.Header) string { return decodePath(decodePath(uri)) },
	"clean": func(uri string, _ http.Header) string {
		return cleanly(strings.ReplaceAll(decodePath(decodePath(uri)), `\`, "/"))
	},
	"without parameters": func(uri string, _ http.Header) string {
		var kept []string
		for s := range strings.SplitSeq(decodePath(uri), "/") {
			s, _, _ = strings.Cut(s, ";")
			kept = append(kept, s)
		}
		return cleanly(strings.Join(kept, "/"))
	},
	"by a header": func(uri string, head http.Header) string {
		for name, v := range head {
			switch strings.ToLower(strings.ReplaceAll(name, "_", "-")) {
			case "x-original-url", "x-rewrite-url", "x-original-uri", "x-forwarded-uri":
				return v[0]
			}
		}
		return uri
	},
}

func decodePath(s string) string {
	s, _, _ = strings.Cut(s, "?")
	s, _, _ = strings.Cut(s, "#")
	return unescapePath(s)
}

func unescapePath(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func cleanly(s string) string {
	var kept []string
	for part := range strings.SplitSeq(s, "/") {
		switch part {
		case "", ".":
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
		default:
			kept = append(kept, part)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// Whichever route a server takes a path for, that one was paid.
func TestThePathThatIsPricedIsTheOneThatRuns(t *testing.T) {
	up := &arrived{}
	g := start(t, setup{prices: attackPrices, upstream: func(http.Handler) http.Handler { return up }})
	key := g.account("acme", "1000000000")
	passed := 0
	for _, p := range []string{
		"/v1/cheap", "/v1/dear", "//v1/cheap", "/v1//dear", "/v1/./dear", "/v1/cheap/../dear", "/v1/dear/../cheap", "/v1/cheap/%2e%2e/dear", "/v1/dear/%2e%2e/cheap", "/v1/%64ear", "/v1/%2564ear", "/v1/cheap%2f..%2fdear",
		"/v1/cheap%5c..%5cdear", `/v1/cheap\..\dear`, "/v1/cheap;/../dear", "/v1/cheap;x", "/v1/cheap%3bx", "/v1/cheap%3f/../dear", "/v1/dear%3f", "/v1/cheap%23/../dear", "/v1/cheap/..;/dear", "/v1/cheap%00/../dear", "/V1/Cheap",
		"/v1/cheap/", "/v1/dear/.", "/v1/cheap?/../dear", "/v1/cheap%20", "/v1/c%C3%A4", "/./v1/dear", "/../v1/dear",
	} {
		for _, headers := range [][]string{nil, {"X-Original-URL", "/v1/dear"}, {"X_Original_URL", "/v1/dear"}, {"x-rewrite_url", "/v1/dear"}, {"X-Forwarded-Uri", "/v1/dear"}} {
			answer := g.post(key, p, "", headers...)
			uri, head, _, n := up.take()
			if answer.StatusCode >= 400 && answer.StatusCode < 500 {
				if n != 0 {
					t.Errorf("%s %q: %s, and it reached the upstream", p, headers, answer.Status)
				}
				continue
			}
			passed++
			for _, name := range slices.Sorted(maps.Keys(routers)) {
				route := routers[name](uri, head)
				for end, price := range map[string]string{"/v1/cheap": "1", "/v1/dear": "100"} {
					if strings.EqualFold(strings.TrimSuffix(route, "/"), end) && answer.cost() != price {
						t.Errorf("%s %q goes on as %s and costs %s; a server that takes it %s runs %s", p, headers, uri, answer.cost(), name, end)
					}
				}
			}
		}
	}
	if passed < 20 {
		t.Errorf("only %d requests passed", passed)
	}
}
