package caddymodule

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/api/openapi"
	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
)

// Bodies of requests that have no other use for a type.
type (
	reasonIn struct {
		Reason string `json:"reason"`
	}
	accountIn struct {
		ID   string `json:"id"`
		Name string `json:"name,omitempty"`
		Plan string `json:"plan,omitempty"`
	}
	planIn struct {
		Plan string `json:"plan"`
		When string `json:"when,omitempty"` // now, renewal
		// RenewsAt is when the first billing period ends, if the payment system says so.
		RenewsAt time.Time `json:"renews_at,omitzero"`
		Reason   string    `json:"reason,omitempty"`
	}
	patchIn struct {
		Name      *string `json:"name,omitempty"`
		Suspended *bool   `json:"suspended,omitempty"`
		Reason    string  `json:"reason,omitempty"`
	}
	refundIn struct {
		Amount string `json:"amount,omitempty"`
		Reason string `json:"reason"`
	}
	keyIn struct {
		Member    string `json:"member,omitempty"`
		Name      string `json:"name,omitempty"`
		ExpiresAt string `json:"expires_at,omitempty"`
	}
	operatorKeyIn struct {
		Name      string `json:"name,omitempty"`
		Scope     string `json:"scope"`
		ExpiresAt string `json:"expires_at,omitempty"`
	}
	memberIn struct {
		ID string `json:"id"`
		directory.MemberChange
	}
	textIn struct {
		Text string `json:"text"`
	}
	overlapIn struct {
		Overlap string `json:"overlap,omitempty"`
	}
	forceIn struct {
		Force bool `json:"force,omitempty"`
	}
)

// operatorRoute is an endpoint of the operator's API: what answers, which scope an
// operator's key needs for it, its parameters and its description. There is no
// other list of them.
type operatorRoute struct {
	openapi.Operation
	fn    func(*call) (any, error) // nil: it writes its answer itself
	scope string
}

// operatorRoutes are all endpoints, with the paths that they have on Caddy's admin
// endpoint.
var operatorRoutes = sync.OnceValue(func() []operatorRoute {
	return slices.Concat(accountRoutes(), pricesRoutes(), gatewayRoutes())
})

// consoleOperations describe them with the paths of the operator console.
func consoleOperations() []openapi.Operation {
	var list []openapi.Operation
	for _, r := range operatorRoutes() {
		o := r.Operation
		o.Pattern = strings.Replace(o.Pattern, " /meter/", " /admin/v1/", 1)
		list = append(list, o)
	}
	return list
}

// allowed reports whether the scopes of an operator's key are enough.
func (o *operator) allowed(scope string) bool {
	return o.scopes == nil || slices.Contains(o.scopes, scope)
}

func accountRoutes() []operatorRoute {
	const accounts, credits, team = "accounts", "moving credits", "keys and members"
	return []operatorRoute{
		{fn: (*call).listAccounts, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/accounts", Tag: accounts, Summary: "All accounts", Params: []openapi.Param{{Name: "q", Description: "text in the id, the name or the plan"}, {Name: "cursor", Description: "next_cursor of the page before"}}, Out: list[AccountView]{}}},
		{fn: (*call).createAccount, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/accounts", Tag: accounts, Summary: "Create an account", In: accountIn{}, Out: AccountView{}}},
		{fn: (*call).showAccount, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/accounts/{id}", Tag: accounts, Summary: "An account", Out: AccountView{}}},
		{fn: (*call).patchAccount, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "PATCH /meter/accounts/{id}", Tag: accounts, Summary: "Rename, suspend or resume an account", In: patchIn{}, Out: AccountView{}}},
		{fn: (*call).closeAccount, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/accounts/{id}/close", Tag: accounts, Summary: "Close an account: no more requests, its plan ends now, its keys are revoked; credits and journal stay", In: reasonIn{}, Out: AccountView{}}},
		{fn: (*call).setPlan, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "PUT /meter/accounts/{id}/subscription", Tag: accounts, Summary: "Move an account to a plan, now or at the renewal", In: planIn{}, Out: AccountView{}}},
		{fn: (*call).cancelPlan, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "DELETE /meter/accounts/{id}/subscription", Tag: accounts, Summary: "End the subscription", Params: []openapi.Param{{Name: "when", Description: "renewal (default) or now"}, {Name: "reason", Description: "kept in the ledger"}}, Out: AccountView{}}},
		{fn: (*call).renew, scope: directory.ScopeGrant, Operation: openapi.Operation{Pattern: "POST /meter/accounts/{id}/subscription/renew", Tag: credits, Summary: "Book the payment for one period", Idempotency: true, In: reasonIn{}, Out: AccountView{}}},
		{fn: (*call).grant, scope: directory.ScopeGrant, Operation: openapi.Operation{Pattern: "POST /meter/accounts/{id}/grants", Tag: credits, Summary: "Grant a pack, or an amount of a type", Idempotency: true, In: account.GrantRequest{}, Out: GrantResult{}}},
		{fn: (*call).void, scope: directory.ScopeGrant, Operation: openapi.Operation{Pattern: "POST /meter/accounts/{id}/grants/{grant}/void", Tag: credits, Summary: "Take back what is left of a grant", In: reasonIn{}, Out: MovedView{}}},
		{fn: (*call).void, scope: directory.ScopeGrant, Operation: openapi.Operation{Pattern: "POST /meter/grants/{grant}/void", Tag: credits, Summary: "The same, by the grant's id alone", In: reasonIn{}, Out: MovedView{}}},
		{fn: (*call).refund, scope: directory.ScopeGrant, Operation: openapi.Operation{Pattern: "POST /meter/accounts/{id}/charges/{charge}/refund", Tag: credits, Summary: "Give a charge back, whole or in part", Idempotency: true, In: refundIn{}, Out: MovedView{}}},
		{fn: (*call).refund, scope: directory.ScopeGrant, Operation: openapi.Operation{Pattern: "POST /meter/charges/{charge}/refund", Tag: credits, Summary: "The same, by the charge's id alone", Idempotency: true, In: refundIn{}, Out: MovedView{}}},
		{fn: (*call).showCharge, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/accounts/{id}/charges/{charge}", Tag: accounts, Summary: "A charge", Out: ChargeView{}}},
		{fn: (*call).history, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/accounts/{id}/history", Tag: accounts, Summary: "The journal", Params: []openapi.Param{{Name: "limit", Description: "up to 10,000; the newest"}, {Name: "after", Description: "sequence number: those after it, oldest first"}}, Out: list[EntryView]{}}},
		{fn: (*call).listPeriods, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/accounts/{id}/periods", Tag: accounts, Summary: "Billing periods that have closed, newest first, with their overage", Params: []openapi.Param{{Name: "limit", Description: "up to 1000; default 24"}}, Out: list[PeriodView]{}}},
		{fn: (*call).listKeys, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/accounts/{id}/keys", Tag: team, Summary: "API keys of an account", Out: list[directory.Key]{}}},
		{fn: (*call).createKey, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/accounts/{id}/keys", Tag: team, Summary: "Create an API key; it is shown once", In: keyIn{}, Out: OperatorKeyView{}}},
		{fn: (*call).revokeKey, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "DELETE /meter/accounts/{id}/keys/{key}", Tag: team, Summary: "Revoke a key", Out: directory.Key{}}},
		{fn: (*call).rotateKey, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/accounts/{id}/keys/{key}/rotate", Tag: team, Summary: "Make a new key like this one, which ends after the overlap", In: overlapIn{}, Out: OperatorKeyView{}}},
		{fn: (*call).listMembers, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/accounts/{id}/members", Tag: team, Summary: "Members of an account", Out: list[directory.Member]{}}},
		{fn: (*call).addMember, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/accounts/{id}/members", Tag: team, Summary: "Add a member", In: memberIn{}, Out: directory.Member{}}},
		{fn: (*call).showMember, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/accounts/{id}/members/{member}", Tag: team, Summary: "A member", Out: directory.Member{}}},
		{fn: (*call).setMember, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "PUT /meter/accounts/{id}/members/{member}", Tag: team, Summary: "Add a member, or change one", In: directory.MemberChange{}, Out: directory.Member{}}},
		{fn: (*call).removeMember, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "DELETE /meter/accounts/{id}/members/{member}", Tag: team, Summary: "Remove a member; its keys are revoked", Out: directory.Member{}}},
	}
}

func pricesRoutes() []operatorRoute {
	const tag = "price book"
	return []operatorRoute{
		{fn: (*call).showPrices, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/prices", Tag: tag, Summary: "The price file in force", Out: PricesView{}}},
		{fn: (*call).unpriced, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/prices/unpriced", Tag: tag, Summary: "Requests without a price, and models without an entry of their own", Out: UnpricedView{}}},
		{fn: (*call).priceFile, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/prices/file", Tag: tag, Summary: "The price file on disk, and what is wrong with it", Out: FileView{}}},
		{fn: (*call).checkPrices, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "POST /meter/prices/check", Tag: tag, Summary: "Check a price file", In: textIn{}, Out: CheckView{}}},
		{fn: (*call).explainPrices, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "POST /meter/prices/explain", Tag: tag, Summary: "What a request would hold, and why", In: ExplainRequest{}, Out: map[string]string{}}},
		{fn: (*call).diffPrices, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "POST /meter/prices/diff", Tag: tag, Summary: "What another price file changes; with days, what it would have cost", In: ReplayRequest{}, Out: DiffView{}}},
		{fn: (*call).replayPrices, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "POST /meter/prices/replay", Tag: tag, Summary: "What the charges of the last days would have cost by another price file", In: ReplayRequest{}, Out: ReplayView{}}},
		{fn: (*call).reloadPrices, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/prices/reload", Tag: tag, Summary: "Put the price file on disk in force", In: forceIn{}, Out: map[string]string{}}},
		{fn: (*call).listPlans, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/plans", Tag: tag, Summary: "Plans and packs, and how many accounts are on them", Out: PlansView{}}},
		{fn: (*call).margin, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/margin", Tag: tag, Summary: "What was charged and what it was worth, over all accounts", Params: []openapi.Param{{Name: "from", Description: "a day or an instant"}, {Name: "to", Description: "the day or instant at which it ends, not included"}, {Name: "period", Description: "24h, 7d, 30d or this_period, instead of from and to"}, {Name: "tz", Description: "time zone of days"}, {Name: "group_by", Description: "operation, model, feature or account"}}, Out: MarginView{}}},
	}
}

func gatewayRoutes() []operatorRoute {
	const tag, hooks = "gateway", "events"
	return []operatorRoute{
		{fn: (*call).health, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/health", Tag: tag, Summary: "Whether all is well", Out: map[string]any{}}},
		{fn: (*call).listHolds, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/holds", Tag: tag, Summary: "Open holds, oldest first", Out: list[HoldView]{}}},
		{fn: (*call).verify, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/ledger/verify", Tag: tag, Summary: "Recompute all books from the journal", Out: VerifyView{}}},
		{scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "GET /meter/backup", Tag: tag, Summary: "A copy of the whole ledger", Media: "application/octet-stream"}},
		{fn: (*call).confirmClock, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/clock/confirm", Tag: tag, Summary: "Accept the system's clock after a jump", Out: map[string]any{}}},
		{fn: (*call).createPortalSession, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/portal-sessions", Tag: tag, Summary: "Make a link that opens the portal once", In: PortalSession{}, Out: PortalLink{}}},
		{fn: (*call).listOperatorKeys, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "GET /meter/operator-keys", Tag: tag, Summary: "Operators' keys", Out: list[directory.Key]{}}},
		{fn: (*call).createOperatorKey, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/operator-keys", Tag: tag, Summary: "Create an operator's key", In: operatorKeyIn{}, Out: OperatorKeyView{}}},
		{fn: (*call).revokeOperatorKey, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "DELETE /meter/operator-keys/{key}", Tag: tag, Summary: "Revoke an operator's key", Out: directory.Key{}}},
		{fn: (*call).listWebhooks, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/webhooks", Tag: hooks, Summary: "Where events go", Out: list[WebhookView]{}}},
		{fn: (*call).testWebhook, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/webhooks/{webhook}/test", Tag: hooks, Summary: "Send a test event", Out: map[string]string{}}},
		{fn: (*call).enableWebhook, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/webhooks/{webhook}/enable", Tag: hooks, Summary: "Switch an endpoint on that answered 410", Out: list[WebhookView]{}}},
		{fn: (*call).listDeliveries, scope: directory.ScopeRead, Operation: openapi.Operation{Pattern: "GET /meter/webhooks/deliveries", Tag: hooks, Summary: "What was sent and what waits, newest first", Params: []openapi.Param{{Name: "state", Description: "pending, delivered or failed"}, {Name: "endpoint", Description: "only to this one"}, {Name: "limit", Description: "up to 1000"}}, Out: list[event.Delivery]{}}},
		{fn: (*call).redeliver, scope: directory.ScopeAdmin, Operation: openapi.Operation{Pattern: "POST /meter/webhooks/deliveries/{delivery}/redeliver", Tag: hooks, Summary: "Send a delivery again", Out: &event.Delivery{}}},
	}
}
