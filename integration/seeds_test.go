package integration

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// shop is a product that sells credits by one of the example price files, with
// the portal as its customers see it and a clock that a test moves.
type shop struct {
	*testing.T
	m    *meter.Gateway
	p    *api.API
	now  time.Time
	keys map[string]string // account, or account/member → API key
}

func newShop(t *testing.T, file string) *shop {
	t.Helper()
	s := &shop{T: t, now: time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC), keys: map[string]string{}}
	book, problems := pricefile.Load(file, []byte(read(t, "../testdata/pricing/examples/"+file)))
	if book == nil {
		t.Fatal(problems)
	}
	var err error
	s.m, err = meter.Open(t.Context(), meter.Options{Store: memory.New(), Book: book, Now: func() time.Time { return s.now }, Problem: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r, err := s.m.Verify(t.Context()); err != nil && t.Context().Err() == nil || err == nil && !r.Clean() {
			t.Errorf("the books: %v %+v", err, r)
		}
		s.m.Close()
	})
	s.p = &api.API{Base: "/_meter"}
	return s
}

func (s *shop) open(account, plan string) {
	s.Helper()
	if _, err := s.m.Accounts.Create(s.Context(), account, "", plan); err != nil {
		s.Fatal(err)
	}
}

func (s *shop) key(who string) string {
	s.Helper()
	if s.keys[who] == "" {
		account, member, _ := strings.Cut(who, "/")
		secret, _, err := s.m.Directory.Keys.Create(s.Context(), directory.Key{Account: account, Member: member})
		if err != nil {
			s.Fatal(err)
		}
		s.keys[who] = secret
	}
	return s.keys[who]
}

// uses makes a request; it returns its charge, or the reason of its refusal.
func (s *shop) uses(who, request, body string, headers ...string) (id, refused string) {
	s.Helper()
	method, path, _ := strings.Cut(request, " ")
	caller, err := s.m.Identify(s.key(who))
	if err != nil {
		s.Fatal(err)
	}
	header := map[string][]string{}
	for i := 0; i < len(headers); i += 2 {
		header[headers[i]] = []string{headers[i+1]}
	}
	answer := `{"id":"job_1","status":"completed"}`
	if usage := gjson.Get(body, "as_used"); usage.Exists() { // what the API is to report
		answer = fmt.Sprintf(`{"object":"chat.completion","model":%q,"choices":[],"usage":%s}`, gjson.Get(body, "model"), usage)
	}
	c, err := s.m.Admit(s.Context(), &meter.Request{Method: method, URI: path, Header: header, Body: []byte(body), ContentType: "application/json", Caller: caller})
	var d *meter.Refusal
	if errors.As(err, &d) {
		return "", d.Reason
	}
	if err != nil {
		s.Fatal(err)
	}
	c.Begin(http.StatusOK, map[string][]string{"Content-Type": {"application/json"}})
	if _, err := c.Observe(s.Context(), []byte(answer)); err != nil {
		s.Fatal(err)
	}
	c.End()
	c.Settle(s.Context(), meter.Answered, nil)
	return c.Info().ID, ""
}

// does makes a request that is to pass, some times.
func (s *shop) does(times int, who, request, body string, headers ...string) (last string) {
	s.Helper()
	for range times {
		id, refused := s.uses(who, request, body, headers...)
		if refused != "" {
			s.Fatalf("%s: refused, %s", request, refused)
		}
		last = id
	}
	return last
}

func (s *shop) refuses(reason, who, request, body string) {
	s.Helper()
	if id, refused := s.uses(who, request, body); refused != reason {
		s.Errorf("%s: %s %q, want %s", request, id, refused, reason)
	}
}

func (s *shop) buys(id, pack, price string) {
	s.Helper()
	if _, err := s.m.Accounts.Grant(s.Context(), id, account.GrantRequest{Pack: pack, Price: price, Reason: "paid", Idempotency: pack + price + s.now.String()}); err != nil {
		s.Error(err)
	}
}

// see asks the api.
func (s *shop) see(who, path string) gjson.Result { return s.send(who, http.MethodGet, path, "") }

func (s *shop) send(who, method, path, body string) gjson.Result {
	s.Helper()
	r := httptest.NewRequestWithContext(s.Context(), method, "/v1/"+path, strings.NewReader(body))
	r.Header.Set("X-Api-Key", s.key(who))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.p.Serve(s.m, w, r)
	if w.Code != http.StatusOK {
		s.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return gjson.Parse(w.Body.String())
}

// shows compares fields of an answer, by their paths.
func (s *shop) shows(what string, got gjson.Result, want map[string]string) {
	s.Helper()
	for path, text := range want {
		if x := got.Get(path); x.String() != text {
			s.Errorf("%s: %s is %q, want %q\n%s", what, path, x.String(), text, got)
		}
	}
}

func (s *shop) until(text string) {
	s.Helper()
	var err error
	if s.now, err = time.Parse(time.RFC3339, text); err != nil {
		s.Fatal(err)
	}
	s.m.Clock().Confirm()
}

func of(operation string) string { return `#(operation=="` + operation + `")` }

// "150/500 used", the plan and its renewal above it; packs of 200 apart from it.
func TestSeedSmartCredits(t *testing.T) {
	s := newShop(t, "1-nifty-smart-credits.yaml")
	s.open("nifty", "crosslisting-plus")
	s.does(120, "nifty", "POST /api/ai/listings", `{}`)
	s.does(10, "nifty", "POST /api/photos/remove-background", `{"photos":["a","b","c"]}`)
	s.shows("150 used", s.see("nifty", "balance"), map[string]string{
		"unit.name": "Smart Credit", "unit.plural": "Smart Credits", "unit.worth": "0.025 USD", "available": "350", "worth": "8.75 USD", "status": "ok",
		"plan.name": "Crosslisting Plus", "plan.renews_at": "2026-12-12T00:00:00Z", "allowance.used": "150", "allowance.amount": "500", "allowance.used_percent": "30",
		"grants.#": "1", "grants.0.type": "subscription", "grants.0.used": "150", "grants.0.amount": "500", "grants.0.remaining": "350", "grants.0.rollover": "none",
		"grants.0.renews": "true", "next_grant.at": "2026-12-12T00:00:00Z", "next_grant.amount": "500", "links.top_up": "https://app.nifty.example/settings/subscription",
		"affordable." + of("ai-listing-generator") + ".count": "350", "affordable." + of("background-removal") + ".count": "350", "affordable." + of("background-removal") + ".unit": "photo",
	})
	prices := s.see("nifty", "prices")
	s.shows("what uses credits", prices, map[string]string{
		"prices." + of("ai-listing-generator") + ".name": "AI Listing Generator", "prices." + of("ai-listing-generator") + ".credits": "1",
		"prices." + of("background-removal") + ".credits": "1", "prices." + of("background-removal") + ".unit": "photo",
		"prices." + of("ask-otto") + ".credits": "", "prices." + of("inventory-sync") + ".credits": "0", "prices." + of("listing-management") + ".credits": "0",
		`plans.#(id=="crosslisting-pro").credits.0.amount`: "1000", `plans.#(id=="bundle-pro").credits.0.amount`: "1000", `plans.#(id=="bundle-plus").credits.0.amount`: "500",
		`plans.#(id=="bundle-plus").credits.0.every`: "month", `plans.#(id=="automation").credits.#`: "0", `plans.#(id=="trial").credits.0.amount`: "50",
	})
	if words := prices.Get("prices." + of("ask-otto") + ".price").String(); !strings.HasPrefix(words, "1000 per 1M input tokens, 4000 per 1M output tokens") || !strings.HasSuffix(words, "after 20 free requests a month") {
		t.Errorf("based on usage, after the free tier: %q", words)
	}
	s.shows("packs", s.see("nifty", "packs"), map[string]string{"data.0.credits": "200", "data.0.price": "5 USD", "data.0.expires": "90 days", "data.0.available": "true"})

	s.does(350, "nifty", "POST /api/ai/listings", `{}`)
	s.refuses("insufficient_credits", "nifty", "POST /api/ai/listings", `{}`)
	s.does(1, "nifty", "POST /api/inventory/sync", `{}`)
	s.does(1, "nifty", "POST /api/listings/7", `{}`)
	s.shows("all used", s.see("nifty", "balance"), map[string]string{"available": "0", "status": "exhausted", "allowance.used": "500", "allowance.used_percent": "100"})
	s.until("2026-11-20T00:00:00Z")
	s.buys("nifty", "smart-200", "")
	s.does(1, "nifty", "POST /api/ai/listings", `{}`)
	s.shows("bought", s.see("nifty", "balance"), map[string]string{
		"available": "199", "worth": "4.98 USD", "allowance.used": "500", `grants.#(type=="top_up").used`: "1", `grants.#(type=="top_up").remaining`: "199",
		`grants.#(type=="top_up").name`: "200 Smart Credits", `grants.#(type=="top_up").expires_at`: "2027-02-18T00:00:00Z",
	})
	s.until("2026-12-12T00:00:00Z")
	s.does(1, "nifty", "POST /api/ai/listings", `{}`)
	s.shows("renewed: nothing rolls over, the pack stays", s.see("nifty", "balance"), map[string]string{
		"available": "698", "allowance.used": "1", "allowance.amount": "500", "plan.renews_at": "2027-01-12T00:00:00Z", `grants.#(type=="top_up").remaining`: "199",
	})
	s.until("2027-02-17T23:59:00Z")
	s.shows("the last day of the pack", s.see("nifty", "balance"), map[string]string{`grants.#(type=="top_up").remaining`: "199", "available": "699"})
	s.until("2027-02-18T00:00:00Z")
	s.shows("the 90 days are over", s.see("nifty", "balance"), map[string]string{"grants.#": "1", "available": "500"})

	s.open("robot", "automation")
	s.refuses("plan_does_not_include", "robot", "POST /api/ai/listings", `{}`)
	s.open("trial", "trial")
	s.shows("a trial", s.see("trial", "balance"), map[string]string{"available": "50", "plan.ends_at": "2027-03-04T00:00:00Z", "plan.renews_at": "", "next_grant": ""})
}

// 100,000 micro-units are a dollar, and both are always shown.
func TestSeedMicroUnits(t *testing.T) {
	s := newShop(t, "2-selify-micro-units.yaml")
	s.open("shop", "starter")
	prices := s.see("shop", "prices")
	for operation, want := range map[string][2]string{
		"virtual-try-on": {"20000", "0.20 USD"}, "product-listing": {"5000", "0.05 USD"}, "background-removal": {"2000", "0.02 USD"},
		"support-message": {"500", "0.005 USD"}, "smart-pricing": {"1000", "0.01 USD"},
	} {
		s.shows(operation, prices.Get("prices."+of(operation)), map[string]string{"credits": want[0], "worth": want[1]})
	}
	s.shows("per product", prices.Get("prices."+of("smart-pricing")), map[string]string{"unit": "product"})
	s.buys("shop", "add-credits", "1 USD")
	s.shows("1 USD", s.see("shop", "balance"), map[string]string{
		`grants.#(type=="top_up").amount`: "100000", `grants.#(type=="top_up").expires_at`: "", "available": "2100000", "worth": "21.00 USD", "unit.plural": "micro-units",
		"affordable." + of("virtual-try-on") + ".count": "105", "affordable." + of("support-message") + ".count": "4200",
	})
	s.does(2, "shop/ana", "POST /v1/try-on", `{}`, "X-Ai-Worker", "stylist")
	s.does(4, "shop/bo", "POST /v1/support/messages", `{}`, "X-Ai-Worker", "helpdesk")
	s.does(1, "shop/bo", "POST /v1/pricing/analyse", `{"products":[1,2,3,4,5,6,7]}`)
	day := "usage?from=2026-11-12&to=2026-11-13"
	s.shows("by operation", s.see("shop", day+"&group_by=operation"), map[string]string{
		"total.credits": "49000", "total.worth": "0.49 USD", "total.requests": "7", `data.#(group=="virtual-try-on").credits`: "40000", `data.#(group=="virtual-try-on").worth`: "0.40 USD",
		`data.#(group=="support-message").credits`: "2000", `data.#(group=="smart-pricing").credits`: "7000", `data.#(group=="smart-pricing").quantities.product`: "7",
		"groups.virtual-try-on": "Virtual try-on",
	})
	s.shows("by AI worker", s.see("shop", day+"&group_by=worker"), map[string]string{`data.#(group=="stylist").credits`: "40000", `data.#(group=="helpdesk").credits`: "2000", `data.#(group=="").credits`: "7000", "labels.0": "worker"})
	s.shows("by date", s.see("shop", day+"&interval=day"), map[string]string{"data.#": "1", "data.0.credits": "49000"})
	s.shows("of a team member", s.see("shop", day+"&member=ana"), map[string]string{"total.credits": "40000", "total.requests": "2"})
	s.shows("a member's own", s.see("shop/bo", day), map[string]string{"total.credits": "9000"})
	s.shows("the pool is shared", s.see("shop/bo", "balance"), map[string]string{"available": "2051000", "worth": "20.51 USD", "links.top_up": ""})
	s.shows("a threshold of their own", s.send("shop", http.MethodPut, "alerts", `{"below":["500000"]}`), map[string]string{"own": "true", "below.0.threshold": "500000", "below.0.credits": "500000", "below.0.due": "false"})
	s.does(1, "shop", "POST /v1/try-on", `{}`)
	for _, day := range []string{"2026-11-13T08:00:00Z", "2026-11-14T08:00:00Z"} {
		s.until(day)
		s.does(3, "shop", "POST /v1/try-on", `{}`) // 60,000, after 69,000 on the first day
	}
	s.until("2026-11-15T08:00:00Z")
	s.shows("burn rate", s.see("shop", "balance"), map[string]string{ // 189,000 ÷ 3; 1,911,000 = 30 days of 63,000 and 21,000; 2,000,000 more on the 12th of each month
		"burn.per_day": "63000", "burn.per_month": "1890000", "burn.window_days": "3", "burn.enough_until_renewal": "true", "burn.runs_out_at": "", "available": "1911000",
	})
	s.until("2026-12-12T00:00:00Z")
	s.shows("everything rolls over", s.see("shop", "balance"), map[string]string{"available": "3911000"})

	s.open("poor", "")
	s.buys("poor", "add-credits", "1 USD")
	s.does(4, "poor", "POST /v1/try-on", `{}`)
	s.does(2, "poor", "POST /v1/support/messages", `{}`)
	s.refuses("insufficient_credits", "poor", "POST /v1/try-on", `{}`)
	s.shows("nothing is taken", s.see("poor", "balance"), map[string]string{"available": "19000", "worth": "0.19 USD"})
}

// $50 are 250 smart crops or 100 background removals, or a mix; then overage.
func TestSeedMoneyWithOverage(t *testing.T) {
	s := newShop(t, "3-image-automation-overage.yaml")
	s.open("studio", "starter")
	crops := func(n int) string { return fmt.Sprintf(`{"images":[%s]}`, strings.Trim(strings.Repeat("0,", n), ",")) }
	affordable := func(what, balance, crop, removal string) {
		t.Helper()
		s.shows(what, s.see("studio", "balance"), map[string]string{
			"available": balance, "affordable." + of("smart-crop") + ".count": crop, "affordable." + of("background-removal") + ".count": removal, "affordable." + of("smart-crop") + ".unit": "image",
		})
	}
	affordable("$50", "50", "250", "100")
	s.shows("in money", s.see("studio", "balance"), map[string]string{"worth": "50.00 USD", "unit.name": "USD", "plan.name": "Starter", "plan.price": "50 USD / month"})
	s.does(1, "studio", "POST /v1/smart-crop", crops(100))
	s.does(1, "studio", "POST /v1/background-removal", crops(40))
	affordable("$10", "10", "50", "20")
	s.does(1, "studio", "POST /v1/background-removal", crops(20))
	affordable("100 crops and 60 removals", "0", "0", "0")
	s.shows("the mix", s.see("studio", "usage?group_by=operation&from=2026-11-12&to=2026-11-13"), map[string]string{
		"total.credits": "50", "total.worth": "50.00 USD", `data.#(group=="smart-crop").credits`: "20", `data.#(group=="smart-crop").quantities.image`: "100",
		`data.#(group=="background-removal").credits`: "30", `data.#(group=="background-removal").quantities.image`: "60",
	})
	s.shows("before overage", s.see("studio", "balance"), map[string]string{"overage": "0", "status": "exhausted", "allowance.used": "50", "allowance.used_percent": "100"})
	s.does(1, "studio", "POST /v1/smart-crop", crops(1))
	s.shows("the next crop", s.see("studio", "balance"), map[string]string{"available": "0", "overage": "0.2", "overage_worth": "0.20 USD", "status": "overage"})
	s.does(1, "studio", "POST /v1/background-removal", crops(4))
	s.shows("and four removals", s.see("studio", "balance"), map[string]string{"overage": "2.2", "overage_worth": "2.20 USD"})
	s.until("2026-12-12T00:00:00Z")
	s.shows("the next month", s.see("studio", "balance"), map[string]string{"available": "50", "overage": "0", "status": "ok", "plan.renews_at": "2027-01-12T00:00:00Z"})
	s.shows("a mix in advance", s.send("studio", http.MethodPost, "estimate", `{"mix":[{"operation":"smart-crop","per_day":"100"},{"operation":"background-removal","per_day":"60"}]}`), map[string]string{
		"lines.0.credits": "20", "lines.1.credits": "30", "sum": "50", "affordable": "true", "plan.id": "starter",
	})
}

// One pool for all features: chat by model, pictures, chatbots; warnings at 20 % and 5 %.
func TestSeedPlansAndPacks(t *testing.T) {
	s := newShop(t, "4-cleverai.yaml")
	s.open("free", "")
	s.shows("$0", s.see("free", "balance"), map[string]string{"plan.id": "free", "plan.price": "0 USD / month", "available": "100", "allowance.amount": "100", "links.upgrade": "https://app.cleverai.example/pricing"})
	s.shows("what the application reads", s.see("free", "account"), map[string]string{"plan.metadata.chatbots": "1", "plan.metadata.support": "basic"})
	s.refuses("plan_does_not_include", "free", "POST /api/v1/chat/completions", `{"model":"small-1"}`)

	s.open("clever", "pro")
	s.shows("$29", s.see("clever", "balance"), map[string]string{"plan.price": "29 USD / month", "available": "5000", "worth": "50.00 USD", "plan.metadata.chatbots": "5", "plan.metadata.analytics": "advanced"})
	tokens := func(model string, in, out int) string {
		return fmt.Sprintf(`{"model":%q,"max_tokens":%d,"messages":[{"role":"user","content":"x"}],"as_used":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`, model, out, in, out, in+out)
	}
	s.does(1, "clever", "POST /v1/chat/completions", tokens("small-1", 1500, 500)) // 2,000 tokens together at 1
	s.does(1, "clever", "POST /v1/chat/completions", tokens("large-1", 1500, 500)) // … at 20
	s.does(1, "clever", "POST /v1/chatbots/7/messages", tokens("medium-1", 1000, 1000))
	s.does(1, "clever", "POST /v1/images/generations", `{"n":1}`)
	s.does(1, "clever", "POST /v1/images/generations", `{"n":1,"quality":"hd"}`)
	s.shows("by model", s.see("clever", "usage?group_by=model"), map[string]string{
		"total.credits": "80", "total.worth": "0.80 USD", `data.#(group=="small-1").credits`: "2", `data.#(group=="large-1").credits`: "40", `data.#(group=="medium-1").credits`: "8", `data.#(group=="").credits`: "30",
	})
	s.shows("by feature", s.see("clever", "usage?group_by=operation"), map[string]string{
		`data.#(group=="chat").credits`: "42", `data.#(group=="chatbot").credits`: "8", `data.#(group=="image").credits`: "30", "groups.chatbot": "Chatbot message",
	})
	s.does(1, "clever", "POST /v1/images/generations", `{"n":392}`)
	s.shows("at 20 %", s.see("clever", "balance"), map[string]string{"available": "1000", "status": "ok", "allowance.used": "4000", "allowance.used_percent": "80"})
	s.does(1, "clever", "POST /v1/images/generations", `{"n":1}`)
	s.shows("below 20 %", s.see("clever", "balance"), map[string]string{"available": "990", "status": "low"})
	s.shows("the thresholds", s.see("clever", "alerts"), map[string]string{"below.0.threshold": "20%", "below.0.credits": "1000", "below.0.due": "true", "below.1.threshold": "5%", "below.1.credits": "250", "below.1.due": "false"})
	s.shows("packs", s.see("clever", "packs"), map[string]string{
		"data.0.credits": "1000", "data.0.price": "10 USD", "data.0.expires": "never", "data.1.credits": "5000", "data.1.price": "45 USD", "data.0.url": "https://app.cleverai.example/billing",
	})
	s.buys("clever", "pack-1000", "")
	s.until("2026-12-12T00:00:00Z")
	s.shows("a month later: no rollover, packs do not expire", s.see("clever", "balance"), map[string]string{"available": "6000", `grants.#(type=="top_up").remaining`: "1000", `grants.#(type=="top_up").expires_at`: ""})

	s.open("large", "enterprise")
	s.does(100, "large", "POST /v1/images/generations", `{"n":2000}`)
	s.shows("unlimited", s.see("large", "balance"), map[string]string{"unlimited": "true", "status": "unlimited", "grants.0.amount": "unlimited", "plan.price": "custom", "plan.metadata.sla": "true", "worth": ""})
	s.shows("and still counted", s.see("large", "usage"), map[string]string{"total.credits": "2000000", "total.requests": "100"})
}

// Three balances at once, drawn from in a fixed order; analytics by model,
// feature and member; the estimator.
func TestSeedThreeBalances(t *testing.T) {
	s := newShop(t, "5-imagineart.yaml")
	s.open("art", "")
	s.shows("free", s.see("art", "balance"), map[string]string{"available": "100", "plan.name": "Free", "grants.0.type": "free", "grants.0.expires_at": "2026-11-13T00:00:00Z", "next_grant.at": "2026-11-13T00:00:00Z", "next_grant.amount": "100"})
	s.refuses("plan_does_not_include", "art", "POST /v1/images", `{"model":"imagine-pro"}`)
	if x := s.see("art", "packs"); x.Get("data.0.available").Bool() {
		t.Errorf("top-ups need a subscription: %s", x)
	}
	if _, err := s.m.Accounts.Do(s.Context(), "art", ledger.SetPlan{Plan: "basic"}); err != nil {
		t.Fatal(err)
	}
	s.buys("art", "tokens-10k", "")
	s.shows("by type", s.see("art", "balance"), map[string]string{
		"available": "40100", `grants.#(type=="free").remaining`: "100", `grants.#(type=="subscription").remaining`: "30000", `grants.#(type=="top_up").remaining`: "10000", `grants.#(type=="top_up").name`: "10,000 tokens",
		"grants.0.type": "free", "grants.1.type": "subscription", "grants.2.type": "top_up", // in the order in which they are used
	})
	s.does(1, "art/ana", "POST /v1/images", `{"model":"imagine-standard"}`)
	video := s.does(1, "art/ben", "POST /v1/videos", `{"model":"motion-standard","duration":5}`)
	s.shows("24 and 210", s.see("art", "balance"), map[string]string{
		"available": "39866", `grants.#(type=="free").remaining`: "0", `grants.#(type=="free").used`: "100", `grants.#(type=="subscription").remaining`: "29866", `grants.#(type=="subscription").used`: "134", `grants.#(type=="top_up").used`: "0",
	})
	s.shows("the video", s.see("art", "charges/"+video), map[string]string{"credits": "210", "drawn.#": "2", "drawn.0.type": "free", "drawn.0.amount": "76", "drawn.1.type": "subscription", "drawn.1.amount": "134", "model": "motion-standard", "quantities.second": "5"})
	for body, cost := range map[string]string{
		`{"model":"imagine-standard","num_results":4,"resolution":"4k"}`: "192", `{"model":"imagine-pro"}`: "60", `{"model":"imagine-standard","resolution":"2k"}`: "36",
	} {
		s.shows(body, s.see("art", "charges/"+s.does(1, "art/ana", "POST /v1/images", body)), map[string]string{"credits": cost})
	}
	s.shows("10 s at 1080p", s.see("art", "charges/"+s.does(1, "art/ben", "POST /v1/videos", `{"model":"motion-standard","duration":10,"resolution":"1080p"}`)), map[string]string{"credits": "840"})
	s.shows("three variants", s.see("art", "charges/"+s.does(1, "art/ben", "POST /v1/videos", `{"model":"motion-standard","num_results":3}`)), map[string]string{"credits": "630"})

	s.shows("by feature", s.see("art", "usage?group_by=feature"), map[string]string{`data.#(group=="Image").credits`: "312", `data.#(group=="Video").credits`: "1680", "total.credits": "1992"})
	s.shows("by model", s.see("art", "usage?group_by=model"), map[string]string{
		`data.#(group=="imagine-standard").requests`: "3", `data.#(group=="imagine-standard").credits`: "252", `data.#(group=="motion-standard").requests`: "3", `data.#(group=="motion-standard").credits`: "1680",
		"groups.motion-standard": "Motion Standard",
	})
	s.shows("by user", s.see("art", "usage?group_by=member"), map[string]string{`data.#(group=="ana").credits`: "312", `data.#(group=="ben").credits`: "1680"})
	s.shows("another period", s.see("art", "usage?from=2026-11-01&to=2026-11-12"), map[string]string{"total.credits": "0"})

	s.shows("the estimate", s.send("art", http.MethodPost, "estimate", `{"days":22,"buffer":"20%","mix":[{"operation":"image","model":"imagine-standard","per_day":"30"},{"operation":"video","per_day":"10","credits":"210"}]}`), map[string]string{
		"lines.0.times": "660", "lines.0.each": "24", "lines.0.credits": "15840", "lines.1.times": "220", "lines.1.each": "210", "lines.1.credits": "46200",
		"sum": "62040", "with_buffer": "74448", "plan.id": "ultimate-yearly", "plan.credits": "90000", "affordable": "false",
	})
	s.shows("with 30 %", s.send("art", http.MethodPost, "estimate", `{"days":22,"buffer":"30%","mix":[{"operation":"image","per_day":"30"},{"operation":"video","per_day":"10"}]}`), map[string]string{"lines.1.each": "210", "sum": "62040", "with_buffer": "80652"})
	prices := s.see("art", "prices")
	s.shows("estimated generations", prices, map[string]string{
		`plans.#(id=="basic").estimates.#(model=="imagine-standard").count`: "1250", `plans.#(id=="basic").estimates.#(model=="imagine-pro").count`: "500", `plans.#(id=="basic").estimates.#(model=="motion-standard").count`: "142",
		`plans.#(id=="free").estimates.#(model=="imagine-standard").count`: "4", `plans.#(id=="free").estimates.#(model=="imagine-pro").count`: "",
	})
	s.until("2026-11-13T00:00:00Z")
	s.shows("the day after: no free credits with a subscription", s.see("art", "balance"), map[string]string{`grants.#(type=="free").remaining`: "", "plan.name": "Basic", "links.support": "mailto:support@imagineart.example"})
}
