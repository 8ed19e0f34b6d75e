package pricing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/pricing"
)

// recordText is the record of an answer; its price is the one that Cost finds.
func recordText(t *testing.T, r *pricing.Request, a *pricing.Answer, plan *pricing.Plan) string {
	t.Helper()
	used, marks, cost, err := r.Record(a, plan)
	if q, failed := r.Cost(a, plan, pricing.FreeLeft{}); q.Amount != cost.Amount || q.Model != cost.Model || (failed == nil) != (err == nil) {
		t.Errorf("recorded as %v %v, costs %v %v", cost, err, q, failed)
	}
	return pricing.RecordText(&used, &marks)
}

// recordedAgain: from what a charge keeps, the book gives the same price again.
func recordedAgain(t *testing.T, b *pricing.Book, r *pricing.Request, a *pricing.Answer, plan *pricing.Plan, at time.Time, cost pricing.Quote) {
	t.Helper()
	if r.Operation() == nil || r.Free() {
		return
	}
	text := recordText(t, r, a, plan)
	u, marks, err := pricing.ParseRecord(text)
	if err != nil {
		t.Fatal(err)
	}
	model := r.Asked.Model
	if cost.Model != r.Model().ID() {
		model = cost.Model
	}
	rec := &pricing.Recorded{Operation: r.Operation().ID, Model: model, At: at, Usage: u, Marks: marks, Made: b}
	again, err := rec.Reprice(b, b.Plan(marks.Plan))
	switch {
	case marks.Held:
	case err != nil:
		t.Errorf("from %q: %v", text, err)
	case again != cost.Amount:
		t.Errorf("from %q: %s again, %s at first", text, again.Text(b.Credit.Decimals), cost.Amount.Text(b.Credit.Decimals))
	}
}

const recordHead = `version: 1
credit: {name: credit, decimals: 2}
operations:
  image:
    match: POST /v1/images
    quantity: {from: body.n, default: 1}
    measure: {second: {from: body.seconds, default: 0}}
    price: {per_request: 4, per_second: 2}
    adjust:
      - {when: {body.resolution: 4k}, times: 2}
      - {when: {service_tier: flex}, times: 0.5}
plans:
  team: {discount: 10%}
`

// TestRecord: what a charge keeps, and what another price file makes of it.
func TestRecord(t *testing.T) {
	b := load(t, recordHead)
	r, err := b.Read(jsonFacts("POST", "/v1/images", `{"n":3,"seconds":2.5,"resolution":"4k","service_tier":"flex"}`))
	if err != nil {
		t.Fatal(err)
	}
	text := recordText(t, r, &pricing.Answer{Status: 200}, b.Plan("team"))
	if want := "second=2.5 quantity:3 tier:flex adjust:o0,o1 plan:team"; text != want {
		t.Errorf("record %q, want %q", text, want)
	}
	u, marks, err := pricing.ParseRecord(text)
	if err != nil {
		t.Fatal(err)
	}
	rec := &pricing.Recorded{Operation: "image", At: monday, Usage: u, Marks: marks, Made: b}
	for _, c := range []struct{ name, old, other, want string }{
		{"the same", "", "", "24.3"}, // (4 + 2.5×2) × 2 × 0.5 × 3 − 10 %
		{"another rate", "per_second: 2", "per_second: 4", "37.8"},
		{"another factor of a condition that held", "4k}, times: 2", "4k}, times: 4", "48.6"},
		{"a condition less", "\n      - {when: {body.resolution: 4k}, times: 2}", "", "12.15"},
		{"a new condition on what is recorded", "adjust:", "adjust:\n      - {when: {second: {above: 2}}, times: 3}", "72.9"},
		{"another tier", "service_tier: flex}", "service_tier: priority}", "48.6"},
		{"a new condition on a field", "adjust:", "adjust:\n      - {when: {body.style: oil}, times: 3}", "not in the journal"},
		{"a new one with a part that fails", "adjust:", "adjust:\n      - {when: {body.style: oil, second: {above: 9}}, times: 3}", "24.3"},
	} {
		other := load(t, strings.Replace(recordHead, c.old, c.other, 1))
		amount, err := rec.Reprice(other, other.Plan("team"))
		got := amount.Text(2)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) || err == nil && got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestRecordIsNoPlaceForText: what a client writes as its tier can't pretend to
// be a quantity, and what is not a record is not read as one.
func TestRecordIsNoPlaceForText(t *testing.T) {
	b := load(t, recordHead)
	r, err := b.Read(jsonFacts("POST", "/v1/images", `{"service_tier":"x image=1000 plan:free"}`))
	if err != nil {
		t.Fatal(err)
	}
	text := recordText(t, r, &pricing.Answer{Status: 200}, nil)
	u, marks, err := pricing.ParseRecord(text)
	if err != nil || len(u.Units) != 1 || marks.Plan != "" || marks.Tier != "?" {
		t.Errorf("record %q: %v %+v %v", text, u.Units, marks, err)
	}
	for _, bad := range []string{"input", "input=-1", "image=x", "quantity:x", "tier:"} {
		if _, _, err := pricing.ParseRecord(bad); err == nil {
			t.Errorf("%q is read as a record", bad)
		}
	}
}

// FuzzRecord: no text makes the reader of records panic, and what it reads has
// the same text again.
func FuzzRecord(f *testing.F) {
	f.Add("input=12 output=30 image=3 quantity:4 tier:flex adjust:m0,o1 plan:team cost:held")
	f.Add("second=2.5 page=0")
	f.Fuzz(func(t *testing.T, text string) {
		u, _, err := pricing.ParseRecord(text)
		if err != nil {
			return
		}
		again, err := pricing.ParseUsage(u.Text())
		if err != nil || again.Tokens != u.Tokens || len(again.Units) != len(u.Units) {
			t.Fatalf("%q: %+v, again %+v (%v)", text, u, again, err)
		}
	})
}
