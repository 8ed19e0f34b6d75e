package meter

import (
	"testing"

	"github.com/farebox-dev/farebox/meter/ledger"
)

const statusBook = `
version: 1
credit: {name: credit, decimals: 0}
operations:
  one: {match: POST /v1/one, measure: {unit: {from: body.n, default: 1}}, price: {per_unit: 1}}
plans:
  basic:     {credits: [{type: subscription, amount: 100, every: month}]}
  open:      {when_empty: overage, credits: [{type: subscription, amount: 100, every: month}]}
  unlimited: {credits: [{type: subscription, amount: unlimited}]}
alerts: [{below: 20%}, {below: 5%}]
`

func (p *played) status(what, account, want string) {
	p.Helper()
	if got := p.m.Accounts.Status(p.account(account)); got != want {
		p.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestStatus(t *testing.T) {
	p := play(t, statusBook, "2026-11-12T09:00:00Z")
	for _, plan := range []string{"basic", "open", "unlimited"} {
		p.open(plan, plan)
		want := "ok"
		if plan == "unlimited" {
			want = plan
		}
		p.status("new", plan, want)
		p.ask(plan, "/v1/one", `{"n":80}`, 200)
	}
	p.status("20 of 100", "basic", "ok")
	p.ask("basic", "/v1/one", `{"n":1}`, 200)
	p.status("19 of 100", "basic", "low")
	running := p.begin("basic", "/v1/one", `{"n":19}`)
	p.status("all of it held", "basic", "exhausted")
	running.Begin(503, nil)
	running.Settle(t.Context(), Answered, nil)
	p.status("refunded", "basic", "low")
	p.ask("basic", "/v1/one", `{"n":19}`, 200)
	p.status("used up", "basic", "exhausted")
	p.ask("open", "/v1/one", `{"n":20}`, 200)
	p.status("used up, with overage to come", "open", "exhausted")
	p.ask("open", "/v1/one", `{"n":1}`, 200)
	p.status("beyond it", "open", "overage")
	p.until("2026-12-12T09:00:00Z")
	p.status("renewed", "open", "ok")
	yes := true
	for _, account := range []string{"basic", "open", "unlimited"} {
		if _, err := p.m.Accounts.Do(t.Context(), account, ledger.SetAttributes{Suspended: &yes, Reason: "test"}); err != nil {
			t.Fatal(err)
		}
		p.status("an operator has stopped it", account, "suspended")
	}
}

func TestThresholdsOfAnAccount(t *testing.T) {
	p := play(t, statusBook, "2026-11-12T09:00:00Z")
	p.open("acme", "basic")
	see := func(want int, wantOwn bool) []ledger.Level {
		t.Helper()
		levels, own := p.m.Accounts.Thresholds(p.account("acme"))
		if len(levels) != want || own != wantOwn {
			t.Errorf("%+v, own %v", levels, own)
		}
		return levels
	}
	if l := see(2, false); l[0].Text != "20%" || l[0].Limit != 20 || l[1].Limit != 5 {
		t.Errorf("%+v", l)
	}
	if err := p.m.Accounts.SetAlerts(t.Context(), "acme", []string{"60"}); err != nil {
		t.Fatal(err)
	}
	p.ask("acme", "/v1/one", `{"n":41}`, 200)
	if l := see(1, true); !l[0].Due || l[0].Limit != 60 {
		t.Errorf("%+v", l)
	}
	p.status("below the account's own", "acme", "low")
	if err := p.m.Accounts.SetAlerts(t.Context(), "acme", []string{}); err != nil {
		t.Fatal(err)
	}
	see(0, true)
	p.status("it wants none", "acme", "ok")
	if err := p.m.Accounts.SetAlerts(t.Context(), "acme", nil); err != nil {
		t.Fatal(err)
	}
	see(2, false)
}
