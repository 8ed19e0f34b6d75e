package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

// ask uses the operator's API on the admin endpoint; it returns the status.
func (g *gateway) ask(method, path string, in, out any) int {
	g.t.Helper()
	status, err := g.tryAsk(method, path, "", in, out)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	return status
}

func (g *gateway) tryAsk(method, path, idempotency string, in, out any) (int, error) {
	b, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequest(method, "http://"+g.admin+path, bytes.NewReader(b))
	if err != nil {
		return 0, err
	}
	if idempotency != "" {
		req.Header.Set("Idempotency-Key", idempotency)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if b, err = io.ReadAll(res.Body); err == nil && out != nil && res.StatusCode < 300 {
		err = json.Unmarshal(b, out)
	}
	return res.StatusCode, err
}

// account opens an account that has exactly these credits, all of them bought,
// and returns an API key of it.
func (g *gateway) account(id, credits string) (key string) {
	g.t.Helper()
	var a api.AccountView
	g.must(g.ask(http.MethodPost, "/meter/accounts", map[string]string{"id": id}, &a))
	for _, grant := range a.Grants {
		g.must(g.ask(http.MethodPost, "/meter/accounts/"+id+"/grants/"+url.PathEscape(grant.ID)+"/void", map[string]string{"reason": "test"}, nil))
	}
	if credits != "0" {
		g.grant(id, credits, "setup")
	}
	return g.key(id)
}

func (g *gateway) grant(id, credits, payment string) {
	g.t.Helper()
	status, err := g.tryAsk(http.MethodPost, "/meter/accounts/"+id+"/grants", payment, map[string]string{"amount": credits, "reason": "test"}, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	g.must(status)
}

func (g *gateway) key(account string) string {
	g.t.Helper()
	var k struct{ Secret string }
	g.must(g.ask(http.MethodPost, "/meter/accounts/"+account+"/keys", map[string]string{"name": "test"}, &k))
	return k.Secret
}

func (g *gateway) must(status int) {
	g.t.Helper()
	if status != http.StatusOK {
		g.t.Fatalf("the operator's API answers %d", status)
	}
}

func (g *gateway) show(id string) (a api.AccountView) {
	g.t.Helper()
	g.must(g.ask(http.MethodGet, "/meter/accounts/"+id, nil, &a))
	return a
}

// settled waits until the account holds nothing and shows it.
func (g *gateway) settled(id string) (a api.AccountView) {
	g.t.Helper()
	g.eventually("account "+id+" has no open holds", func() bool {
		a = g.show(id)
		return a.Holds == 0
	})
	return a
}

// has checks what is left once everything is settled.
func (g *gateway) has(id, available string) {
	g.t.Helper()
	if a := g.settled(id); a.Available != available || a.Held != "0" {
		g.t.Errorf("account %s: available %s (want %s), held %s", id, a.Available, available, a.Held)
	}
}

func (g *gateway) journal(id string) []api.EntryView {
	g.t.Helper()
	var l struct{ Data []api.EntryView }
	g.must(g.ask(http.MethodGet, "/meter/accounts/"+id+"/journal?limit=10000", nil, &l))
	return l.Data
}

// kinds counts the entries of an account's journal by kind.
func (g *gateway) kinds(id string) map[string]int {
	g.t.Helper()
	n := map[string]int{}
	for _, e := range g.journal(id) {
		n[e.Kind]++
	}
	return n
}

func (g *gateway) charge(account, id string) (c api.ChargeView) {
	g.t.Helper()
	g.must(g.ask(http.MethodGet, "/meter/accounts/"+account+"/charges/"+id, nil, &c))
	return c
}

// answer is a response that was read whole.
type answer struct {
	*http.Response
	body string
}

// cost is what the answer says it cost: in the header, else in the trailer.
func (a answer) cost() string {
	if v := a.Header.Get("Credits-Cost"); v != "" {
		return v
	}
	return a.Trailer.Get("Credits-Cost")
}

// plain leaves encodings alone.
var plain = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}

// send makes a request; headers are pairs of name and value.
func (g *gateway) send(method, path, body string, headers ...string) answer {
	g.t.Helper()
	a, err := g.trySend(method, path, body, headers...)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (g *gateway) trySend(method, path, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, "http://"+g.addr+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := plain.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	return answer{res, string(b)}, err
}

func (g *gateway) post(key, path, body string, headers ...string) answer {
	g.t.Helper()
	return g.send(http.MethodPost, path, body, append([]string{"Authorization", "Bearer " + key}, headers...)...)
}

const chatPath = "/v1/chat/completions"

// chatBody asks for a chat; more is appended to the object, such as `"stream":true`.
func chatBody(model string, more ...string) string {
	members := append([]string{`"model":` + strconv.Quote(model), `"messages":[{"role":"user","content":"hello there"}]`}, more...)
	return "{" + strings.Join(members, ",") + "}"
}

// What the mock counts for chatBody, and for an answer without a limit.
const (
	helloTokens = 3 + 3
	usualTokens = 24
)

// rates of pricing.yaml, in millionths of a credit a token: input, output.
var rates = map[string][2]int{
	"demo":                   {1000, 8000},
	"gpt-5.4":                {250, 1500},
	"gpt-5-mini":             {25, 200},
	"claude-sonnet-4-5":      {300, 1500},
	"claude-haiku-4-5":       {100, 500},
	"text-embedding-3-small": {2, 0},
}

// price computes a charge by hand, in thousandths of a credit: one rounding, up.
func price(model string, in, out int) int {
	r, ok := rates[model]
	if !ok {
		r = rates["demo"]
	}
	return (in*r[0] + out*r[1] + 999) / 1000
}

// credits prints thousandths as the gateway does.
func credits(thousandths int) string {
	s := fmt.Sprintf("%d.%03d", thousandths/1000, thousandths%1000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// thousandths reads an amount.
func thousandths(t testing.TB, amount string) int {
	t.Helper()
	f, err := strconv.ParseFloat(amount, 64)
	if err != nil {
		t.Fatalf("%q is not an amount", amount)
	}
	return int(f*1000 + 0.5)
}

// metrics is the text of the metrics endpoint.
func (g *gateway) metrics() string {
	g.t.Helper()
	res, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(b)
}
