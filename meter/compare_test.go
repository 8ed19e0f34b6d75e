package meter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/internal/casefile"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// comparison checks what a step expects against what came of it.
type comparison struct {
	*teller
	step    *casefile.Step
	at      string
	got     done
	account *ledger.Account
}

// ofAction are the expectations about the action; all others are about the account.
var ofAction = []string{
	"status", "reason", "limit_source", "refused", "cost", "hold", "drawn", "operation", "feature",
	"granted", "refunded", "replayed", "clamped", "reduce", "statuses", "alerts",
}

func (c *comparison) wrong(key string, got, want any) {
	c.Helper()
	c.Errorf("%s: %s is %v, want %v", c.at, key, got, want)
}

func (c *comparison) text(key string, got string, want any) {
	c.Helper()
	if want == nil && got != "" || want != nil && got != fmt.Sprint(want) {
		c.wrong(key, strconv.Quote(got), want)
	}
}

func (c *comparison) number(key string, got int64, want any) {
	c.Helper()
	if strconv.FormatInt(got, 10) != fmt.Sprint(want) {
		c.wrong(key, got, want)
	}
}

func (c *comparison) credits(key string, got money.Amount, want any) {
	c.Helper()
	if got != c.amount(fmt.Sprint(want)) {
		c.wrong(key, got.Text(c.book.Credit.Decimals), want)
	}
}

// credits or "unlimited".
func (c *comparison) balance(key string, got money.Amount, unlimited bool, want any) {
	c.Helper()
	if want == "unlimited" || unlimited {
		if !unlimited || want != "unlimited" {
			c.wrong(key, fmt.Sprintf("%s (unlimited: %t)", got.Text(c.book.Credit.Decimals), unlimited), want)
		}
		return
	}
	c.credits(key, got, want)
}

func (c *comparison) action() {
	_, status := c.step.Expect["status"]
	_, refused := c.step.Expect["refused"]
	if d := c.got.refusal; d != nil && !status {
		c.Errorf("%s: refused: %v", c.at, d)
	}
	if c.got.refused != 0 && !refused {
		c.Errorf("%s: the grant was refused: %s", c.at, c.got.reason)
	}
	if _, asked := c.step.Expect["replayed"]; c.got.replayed && !asked {
		c.Errorf("%s: replayed", c.at)
	}
	for key, want := range c.step.Expect {
		if slices.Contains(ofAction, key) {
			c.actionKey(key, want)
		}
	}
}

func (c *comparison) actionKey(key string, want any) {
	c.Helper()
	d := c.got.refusal
	switch key {
	case "status":
		c.number(key, int64(c.got.status), want)
	case "reason":
		reason := c.got.reason
		if d != nil {
			reason = d.Reason
		}
		c.text(key, reason, want)
	case "limit_source":
		if d == nil || d.Facts == nil {
			c.wrong(key, "missing", want)
		} else {
			c.text(key, d.Facts.LimitSource, want)
		}
	case "refused":
		c.number(key, int64(c.got.refused), want)
	case "cost":
		c.credits(key, c.cost(), want)
	case "hold":
		c.credits(key, c.got.hold, want)
	case "drawn":
		c.drawn(want.(map[string]any))
	case "operation", "feature":
		c.operation(key, want)
	case "granted", "refunded":
		c.credits(key, c.got.amount, want)
	case "replayed":
		c.text(key, strconv.FormatBool(c.got.replayed), want)
	case "clamped":
		c.maxTokens(key, c.got.clamped, want)
	case "reduce":
		c.maxTokens(key, c.reduce(), want)
	case "statuses":
		c.statuses(want.(map[string]any))
	case "alerts":
		if got, want := strings.Join(c.got.alerts, " "), strings.Join(casefile.Texts(want), " "); got != want {
			c.wrong(key, "["+got+"]", "["+want+"]")
		}
	}
}

// cost is what the charge has cost in the end; of one that has no record, nothing.
func (c *comparison) cost() money.Amount {
	if c.got.charge == nil {
		return 0
	}
	return c.got.charge.Cost
}

func (c *comparison) drawn(want map[string]any) {
	c.Helper()
	got := map[string]money.Amount{}
	if c.got.charge != nil {
		got = c.got.charge.Drawn()
	}
	for typ, x := range got {
		if want[typ] == nil {
			c.wrong("drawn."+typ, x.Text(c.book.Credit.Decimals), "nothing")
		}
	}
	for typ, x := range want {
		c.credits("drawn."+typ, got[typ], x)
	}
}

func (c *comparison) operation(key string, want any) {
	c.Helper()
	if c.got.subject == nil {
		c.wrong(key, "unknown", want)
		return
	}
	got := c.got.subject.Operation
	if key == "feature" {
		got = c.got.subject.Feature
	}
	c.text(key, got, want)
}

func (c *comparison) maxTokens(key string, got int64, want any) {
	c.Helper()
	m, ok := want.(map[string]any)
	if !ok || len(m) != 1 || m["max_tokens"] == nil {
		c.Fatalf("%s: %s: %v", c.at, key, want)
	}
	c.number(key, got, m["max_tokens"])
}

func (c *comparison) reduce() int64 {
	if c.got.refusal == nil || c.got.refusal.Facts == nil {
		return 0
	}
	for _, o := range c.got.refusal.Facts.Options {
		if o.Do == "reduce" {
			return o.Set["max_tokens"]
		}
	}
	return 0
}

func (c *comparison) statuses(want map[string]any) {
	c.Helper()
	for status, n := range c.got.statuses {
		if want[strconv.Itoa(status)] == nil {
			c.wrong("statuses", c.got.statuses, want)
		}
		_ = n
	}
	for status, n := range want {
		code, err := strconv.Atoi(status)
		if err != nil {
			c.Fatal(err)
		}
		c.number("statuses."+status, int64(c.got.statuses[code]), n)
	}
}

// state compares the account after the step.
func (c *comparison) state() {
	c.Helper()
	for key, want := range c.step.Expect {
		if !slices.Contains(ofAction, key) {
			c.stateKey(key, want)
		}
	}
}

func (c *comparison) stateKey(key string, want any) {
	c.Helper()
	a := c.account
	switch key {
	case "available":
		got, unlimited := a.Available(c.now.is())
		c.balance(key, got, unlimited, want)
	case "held":
		c.credits(key, a.HeldTotal(), want)
	case "by_type":
		c.byType(want)
	case "spent":
		c.credits(key, a.SpentNet(), want)
	case "overage":
		c.credits(key, a.OveragePeriod+a.OverageHeld, want)
	case "closed":
		m, ok := want.(map[string]any)
		if !ok || len(m) != 1 || m["overage"] == nil {
			c.Fatalf("%s: closed: %v", c.at, want)
		}
		c.credits("closed.overage", a.Closed.Overage, m["overage"])
	case "debt":
		c.credits(key, a.Debt, want)
	case "absorbed":
		c.credits(key, a.Absorbed, want)
	case "plan":
		c.text(key, a.Sub.Plan, want)
	case "renews_at":
		c.instant(key, a.Sub.End, want)
	case "grants":
		for _, g := range want.([]any) {
			c.grantThere(g.(map[string]any))
		}
	case "affordable":
		for _, x := range want.([]any) {
			c.affordable(x.(map[string]any))
		}
	default:
		c.Errorf("%s: unknown expectation %q", c.at, key)
	}
}

func (c *comparison) instant(key string, got time.Time, want any) {
	c.Helper()
	switch {
	case want == nil || want == "never":
		if !got.IsZero() {
			c.wrong(key, got, want)
		}
	case !got.Equal(parseTime(c.T, fmt.Sprint(want))):
		c.wrong(key, got.Format(time.RFC3339), want)
	}
}

func (c *comparison) byType(want any) {
	c.Helper()
	types, ok := want.(map[string]any)
	if !ok {
		c.Fatalf("%s: by_type: %v", c.at, want)
	}
	got, unlimited := map[string]money.Amount{}, map[string]bool{}
	for _, g := range c.account.Grants {
		if g.Live(c.now.is()) {
			got[g.Type] += g.Available
			unlimited[g.Type] = unlimited[g.Type] || g.Unlimited
		}
	}
	for typ, x := range got {
		if types[typ] == nil && (x != 0 || unlimited[typ]) {
			c.wrong("by_type."+typ, x.Text(c.book.Credit.Decimals), "nothing")
		}
	}
	for typ, x := range types {
		c.balance("by_type."+typ, got[typ], unlimited[typ], x)
	}
}

// grantThere looks for a live grant with all these values.
func (c *comparison) grantThere(want map[string]any) {
	c.Helper()
	for _, g := range c.account.Grants {
		if g.Live(c.now.is()) && c.grantFits(g, want) {
			return
		}
	}
	var have []string
	for _, g := range c.account.Grants {
		have = append(have, fmt.Sprintf("%s: amount %d used %d held %d available %d expires %s", g.Type, g.Amount, g.Used(), g.Held, g.Available, g.ExpiresAt))
	}
	c.Errorf("%s: no live grant is %v; there are\n%s", c.at, want, strings.Join(have, "\n"))
}

func (c *comparison) grantFits(g *ledger.Grant, want map[string]any) bool {
	for key, x := range want {
		text := fmt.Sprint(x)
		fits := false
		switch key {
		case "type":
			fits = g.Type == text
		case "amount":
			fits = text == "unlimited" && g.Unlimited || text != "unlimited" && g.Amount == c.amount(text)
		case "used":
			fits = g.Used() == c.amount(text)
		case "held":
			fits = g.Held == c.amount(text)
		case "available":
			fits = text == "unlimited" && g.Unlimited || text != "unlimited" && !g.Unlimited && g.Available == c.amount(text)
		case "expires_at":
			fits = text == "never" && g.ExpiresAt.IsZero() || text != "never" && g.ExpiresAt.Equal(parseTime(c.T, text))
		default:
			c.Fatalf("%s: unknown value %q of a grant", c.at, key)
		}
		if !fits {
			return false
		}
	}
	return true
}

func (c *comparison) affordable(want map[string]any) {
	c.Helper()
	r := &casefile.Request{}
	for key, x := range want {
		if key != "request" && key != "count" {
			c.Fatalf("%s: affordable: unknown key %q", c.at, key)
		}
		if m, ok := x.(map[string]any); ok && key == "request" {
			var err error
			if r, err = casefile.RequestOf(m); err != nil {
				c.Fatalf("%s: affordable: %v", c.at, err)
			}
		}
	}
	req := caseRequest(c.T, r)
	req.Caller = Caller{Account: storyAccount}
	c.m.estimate = func(*Request) pricing.Usage { return pricing.Usage{} } // nothing is said about its input
	text, err := c.timesAffordable(req)
	if err != nil {
		c.Errorf("%s: affordable: %v", c.at, err)
		return
	}
	c.text("affordable", text, want["count"])
}

// timesAffordable is how often the account could make a request now: what is
// available to it by its price, as it would be held.
func (c *comparison) timesAffordable(req *Request) (string, error) {
	a := &admission{m: c.m, req: req, book: c.m.Books.InForce()}
	if err := a.read(); err != nil {
		return "", err
	}
	acc, err := c.m.Accounts.Get(c.Context(), req.Caller.Account)
	if err != nil {
		return "", err
	}
	a.plan = a.book.Plan(acc.Sub.Plan)
	quote, err := a.quote(pricing.FreeLeft{})
	if err != nil {
		return "", err
	}
	subject := a.price.Subject()
	available, unlimited := acc.AvailableFor(&subject, c.m.Now())
	if unlimited || quote.Amount == 0 {
		return "unlimited", nil
	}
	return strconv.FormatInt(int64(available/quote.Amount), 10), nil
}
