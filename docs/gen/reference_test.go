package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// TestReferenceIsUpToDate: the page says what the table of keys says.
func TestReferenceIsUpToDate(t *testing.T) {
	page, err := os.ReadFile("../pricing.md")
	if err != nil {
		t.Fatal(err)
	}
	again, err := complete(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, again) {
		t.Error("docs/pricing.md is older than the table of keys; run: go run ./docs/gen")
	}
}

const file = `version: 1
credit: {name: credit, decimals: 9, worth: 0.01 USD}
operations:
  image: {match: POST /v1/images, price: 24, feature: studio, tags: [pro], measure: {image: {from: body.n, default: 1}}}
models:
  gpt-5: {per_1m_tokens: {input: 1, output: 8}, max_output_tokens: 4_000, tags: [pro]}
plans:
  plus: {credits: [{type: subscription, amount: 1, every: month}]}
  free: {credits: [{type: free, amount: 1, every: day}]}
packs:
  small: {credits: 1, price: 1 USD}
`

// frames are price files with a place for one key of a definition: what is
// removed to make room, what is put in, with KEY where the key goes.
var frames = map[string]struct{ out, in string }{
	"credit":     {"credit: {name: credit, decimals: 9, worth: 0.01 USD}", "credit: {name: credit, KEY}"},
	"operation":  {"models:", "  more: {match: POST /v1/more, price: 1, KEY}\nmodels:"},
	"measured":   {"models:", "  more: {match: POST /v1/more, price: 1, quantity: {from: body.n, KEY}}\nmodels:"},
	"rates":      {"models:", "  more: {match: POST /v1/more, price: {KEY}}\nmodels:"},
	"tokenRates": {"models:", "  more: {match: POST /v1/more, price: {per_1m_tokens: {KEY}}}\nmodels:"},
	"adjustment": {"models:", "  more: {match: POST /v1/more, price: 1, adjust: [{KEY}]}\nmodels:"},
	"bounds":     {"models:", "  more: {match: POST /v1/more, price: 1, where: {body.n: {KEY}}}\nmodels:"},
	"job":        {"models:", "  more: {match: POST /v1/more, price: 1, job: {KEY}}\nmodels:"},
	"webhook":    {"models:", "  more: {match: POST /v1/more, price: 1, job: {id: response.body.id, status: \"GET /v1/more/{id}\", failed_when: {response.body.s: x}, webhook: {KEY}}}\nmodels:"},
	"model":      {"plans:", "  more: {KEY}\nplans:"},
	"plan":       {"packs:", "  more: {KEY}\npacks:"},
	"grant":      {"packs:", "  more: {credits: [{KEY}]}\npacks:"},
	"overage":    {"packs:", "  more: {when_empty: overage, overage: {KEY}}\npacks:"},
	"cap":        {"packs:", "  more: {caps: [{KEY}]}\npacks:"},
	"selector":   {"packs:", "  more: {allow: {KEY}}\npacks:"},
	"pack":       {"packs:", "packs:\n  more: {KEY}"},
	"alert":      {"packs:", "alerts: [{KEY}]\npacks:"},
	"policies":   {"packs:", "policies: {KEY}\npacks:"},
	"links":      {"packs:", "links: {KEY}\npacks:"},
}

// companions has keys that another one needs or replaces: what else is written.
var companions = map[string]string{
	"measured.from": "", "adjustment.when": "times: 2", "adjustment.times": "when: {body.n: 2}", "adjustment.price": "when: {body.n: 2}",
	"plan.overage": "when_empty: overage", "grant.rollover": "every: month", "operation.free_tier": "",
}

// required are the keys that a definition does not go without.
var required = map[string][]string{
	"job": {"id: response.body.id", `status: "GET /v1/more/{id}"`, "failed_when: {response.body.s: x}"}, "webhook": {"match: POST /h", "id: body.id"},
	"model": {"per_request: 1"}, "grant": {"type: free", "amount: 1"}, "cap": {"per: key", "amount: 1", "every: day"}, "pack": {"credits: 1", "price: 1 USD"},
}

// TestExamples: each example of the reference is taken by the loader, where it
// belongs.
func TestExamples(t *testing.T) {
	tried := 0
	for _, table := range pricefile.Sections {
		for _, k := range table.Keys {
			text := placed(table.Name, k)
			tried++
			if book, problems := pricefile.Load("pricing.yaml", []byte(text)); book == nil {
				t.Errorf("%s.%s:\n%s\n%s", table.Name, k.Name, problems, text)
			}
			if k.Doc == "" {
				t.Errorf("%s.%s has no description", table.Name, k.Name)
			}
		}
	}
	if tried < 120 {
		t.Errorf("only %d examples", tried)
	}
}

// placed is a price file with the example of one key in it.
func placed(def string, k pricefile.Key) string {
	line := k.Name + ": " + k.Example
	if def == "" {
		return topLevel(k.Name, line)
	}
	more := []string{}
	for _, r := range required[def] {
		if name, _, _ := strings.Cut(r, ":"); name != k.Name {
			more = append(more, r)
		}
	}
	if b := companions[def+"."+k.Name]; b != "" {
		more = append(more, b)
	}
	f := frames[def]
	in := f.in
	for _, double := range []string{"match: POST /v1/more, price: 1", "name: credit", "from: body.n"} { // what the key replaces
		for one := range strings.SplitSeq(double, ", ") {
			if def != "webhook" && strings.HasPrefix(one, k.Name+":") && strings.Contains(in, one+", KEY") || def == "operation" && strings.HasPrefix(one, k.Name+":") {
				in = strings.Replace(in, one+", ", "", 1)
			}
		}
	}
	return strings.Replace(file, f.out, strings.Replace(in, "KEY", strings.Join(append([]string{line}, more...), ", "), 1), 1)
}

// topLevel replaces a whole section of the file, or adds it.
func topLevel(name, line string) string {
	var kept []string
	skip := false
	for l := range strings.SplitSeq(strings.TrimSuffix(file, "\n"), "\n") {
		if !strings.HasPrefix(l, " ") {
			skip = strings.HasPrefix(l, name+":")
		}
		if !skip {
			kept = append(kept, l)
		}
	}
	return strings.Join(append(kept, line), "\n") + "\n"
}
