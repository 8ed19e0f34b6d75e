package api

import (
	"slices"

	"github.com/farebox-dev/farebox/caddymodule/api/openapi"
)

func params(pairs ...string) (list []openapi.Param) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, openapi.Param{Name: pairs[i], Description: pairs[i+1]})
	}
	return list
}

var (
	ofSpan = params("from", "a day (2026-11-22) or an instant; default 29 days ago", "to", "the day or instant at which it ends, not included",
		"period", "24h, 7d, 30d or this_period, instead of from and to", "tz", "time zone of days, such as Europe/Berlin; default the price file's")
	ofDimension = params("operation", "only these", "feature", "only these", "model", "only these", "member", "only these", "key", "only these (id of the key)")
)

// customerEndpoints are those of the portal. Operators use them for any account
// that they name.
func customerEndpoints() []endpoint {
	return []endpoint{
		{"GET /v1/balance", viewers, read, "credits", "What the account has, how fast it goes, and what it is enough for", nil, noBody((*call).balance)},
		{"GET /v1/balance/days", viewers, read, "credits", "What was available over the last days, every six hours, and what would be if it goes on like this", params("tz", "time zone of days"), noBody((*call).trail)},
		{"GET /v1/account", viewers, read, "credits", "The account, its plan and the plan's metadata", nil, noBody((*call).accountSummary)},
		{"GET /v1/prices", viewers, read, "prices", "The price list and the plans, as they are in force", nil, priceList(noBody((*call).prices))},
		{"GET /v1/packs", viewers, read, "prices", "Packs that can be bought", nil, priceList(noBody((*call).packs))},
		{"POST /v1/estimate", viewers, read, "prices", "What a request, or a mix of operations over some days, would cost", nil, general(withBody((*call).estimate))},
		{"GET /v1/usage", viewers, read, "usage", "What was used, by interval and group", slices.Concat(params("interval", "hour, day, week or month", "group_by", "operation, feature, model, member, key, or a label of the price file", "format", "json or csv"), ofSpan, ofDimension), labelled(noBody((*call).usage))},
		{"GET /v1/usage/hints", viewers, read, "usage", "Ways to use fewer credits for the same", slices.Concat(ofSpan, ofDimension), labelled(noBody((*call).hints))},
		{"GET /v1/charges", viewers, read, "usage", "Charges, newest first", slices.Concat(params("state", "open, charged, refunded, or refunded in part", "outcome", "answered, upstream 502, …", "q", "text in any field", "limit", "up to 500; default 50", "cursor", "next_cursor of the page before", "format", "json, jsonl, csv, or focus (FOCUS 1.2)"), ofSpan, ofDimension), labelled(noBody((*call).charges))},
		{"GET /v1/charges/{charge}", viewers, read, "usage", "A charge, why it cost that, and what it was drawn from", nil, noBody((*call).charge)},
		{"GET /v1/ledger", admins, read, "usage", "The journal, newest first; for admins", params("limit", "up to 1000; default 50", "cursor", "next_cursor of the page before"), noBody((*call).ledger)},
		{"GET /v1/events", viewers, read, "usage", "Server-sent events: change, whenever something of the account has changed", nil, stream("text/event-stream", (*call).events)},
		{"GET /v1/session", anyone, read, "session", "Who is signed in", nil, noBody((*call).showSession)},
		{"POST /v1/session", anyone, read, "session", "Sign in with a key; sets a cookie", nil, withBody((*call).signIn)},
		{"DELETE /v1/session", anyone, read, "session", "Sign out", nil, noBody((*call).signOut)},
		{"GET /v1/accounts", signedIn, read, "session", "The accounts that the session opens", nil, noBody((*call).sessionAccounts)},
		{"GET /v1/alerts", viewers, read, "alerts", "When the account's admins are notified that credits run low", nil, noBody((*call).alerts)},
		{"PUT /v1/alerts", admins, admin, "alerts", "Set the account's own thresholds; [] is none, null those of the price file", nil, withBody((*call).setAlerts)},
		{"GET /v1/webhook", admins, read, "alerts", "The account's own webhook and its latest deliveries", nil, noBody((*call).webhook)},
		{"PUT /v1/webhook", admins, admin, "alerts", "Set the account's own webhook; the answer has the secret that signs", nil, withBody((*call).setWebhook)},
		{"DELETE /v1/webhook", admins, admin, "alerts", "Remove the account's own webhook", nil, noBody((*call).removeWebhook)},
		{"GET /v1/keys", viewers, read, "team", "API keys", nil, noBody((*call).keys)},
		{"POST /v1/keys", members, admin, "team", "Create an API key; it is shown once", nil, withBody((*call).createKey)},
		{"DELETE /v1/keys/{key}", members, admin, "team", "Revoke a key", nil, noBody((*call).revokeKey)},
		{"GET /v1/members", viewers, read, "team", "The account's members", nil, noBody((*call).members)},
		{"PUT /v1/members/{member}", admins, admin, "team", "Add a member, or change one", nil, withBody((*call).putMember)},
		{"DELETE /v1/members/{member}", admins, admin, "team", "Remove a member; its keys are revoked", nil, noBody((*call).removeMember)},
	}
}

// operatorEndpoints are those of the operator's API.
func operatorEndpoints() []endpoint {
	return slices.Concat(accountEndpoints(), priceEndpoints(), gatewayEndpoints())
}

func accountEndpoints() []endpoint {
	const accounts, credits, team = "accounts", "moving credits", "keys and members"
	return []endpoint{
		{"GET /admin/v1/accounts", operatorsOnly, read, accounts, "All accounts", params("q", "text in the id, the name or the plan", "cursor", "next_cursor of the page before"), noBody((*call).listAccounts)},
		{"POST /admin/v1/accounts", operatorsOnly, admin, accounts, "Create an account", nil, withBody((*call).createAccount)},
		{"GET /admin/v1/accounts/{id}", operatorsOnly, read, accounts, "An account", nil, noBody((*call).showAccount)},
		{"PATCH /admin/v1/accounts/{id}", operatorsOnly, admin, accounts, "Rename, suspend or resume an account", nil, withBody((*call).patchAccount)},
		{"POST /admin/v1/accounts/{id}/close", operatorsOnly, admin, accounts, "Close an account: no more requests, its plan ends now, its keys are revoked; credits and journal stay", nil, withBody((*call).closeAccount)},
		{"PUT /admin/v1/accounts/{id}/subscription", operatorsOnly, admin, accounts, "Move an account to a plan, now or at the renewal", nil, withBody((*call).setPlan)},
		{"DELETE /admin/v1/accounts/{id}/subscription", operatorsOnly, admin, accounts, "End the subscription", params("when", "renewal (default) or now", "reason", "kept in the ledger"), noBody((*call).cancelPlan)},
		{"GET /admin/v1/accounts/{id}/charges/{charge}", operatorsOnly, read, accounts, "A charge", nil, noBody((*call).charge)},
		{"GET /admin/v1/accounts/{id}/journal", operatorsOnly, read, accounts, "The journal", params("limit", "up to 10,000; the newest", "after", "sequence number: those after it, oldest first"), noBody((*call).journal)},
		{"GET /admin/v1/accounts/{id}/periods", operatorsOnly, read, accounts, "Billing periods that have closed, newest first, with their overage", params("limit", "up to 1000; default 24"), noBody((*call).listPeriods)},
		{"POST /admin/v1/accounts/{id}/subscription/renew", operatorsOnly, grant, credits, "Book the payment for one period", nil, idempotent(withBody((*call).renew))},
		{"POST /admin/v1/accounts/{id}/grants", operatorsOnly, grant, credits, "Grant a pack, or an amount of a type", nil, idempotent(withBody((*call).grant))},
		{"POST /admin/v1/accounts/{id}/grants/{grant}/void", operatorsOnly, grant, credits, "Take back what is left of a grant", nil, withBody((*call).void)},
		{"POST /admin/v1/grants/{grant}/void", operatorsOnly, grant, credits, "The same, by the grant's id alone", nil, withBody((*call).void)},
		{"POST /admin/v1/accounts/{id}/charges/{charge}/refund", operatorsOnly, grant, credits, "Give a charge back, whole or in part", nil, idempotent(withBody((*call).refund))},
		{"POST /admin/v1/charges/{charge}/refund", operatorsOnly, grant, credits, "The same, by the charge's id alone", nil, idempotent(withBody((*call).refund))},
		{"GET /admin/v1/accounts/{id}/keys", operatorsOnly, read, team, "API keys of an account", nil, noBody((*call).keys)},
		{"POST /admin/v1/accounts/{id}/keys", operatorsOnly, admin, team, "Create an API key; it is shown once", nil, withBody((*call).createKey)},
		{"DELETE /admin/v1/accounts/{id}/keys/{key}", operatorsOnly, admin, team, "Revoke a key", nil, noBody((*call).revokeKey)},
		{"POST /admin/v1/accounts/{id}/keys/{key}/rotate", operatorsOnly, admin, team, "Make a new key like this one, which ends after the overlap", nil, withBody((*call).rotateKey)},
		{"GET /admin/v1/accounts/{id}/members", operatorsOnly, read, team, "Members of an account", nil, noBody((*call).members)},
		{"POST /admin/v1/accounts/{id}/members", operatorsOnly, admin, team, "Add a member", nil, withBody((*call).addMember)},
		{"GET /admin/v1/accounts/{id}/members/{member}", operatorsOnly, read, team, "A member", nil, noBody((*call).showMember)},
		{"PUT /admin/v1/accounts/{id}/members/{member}", operatorsOnly, admin, team, "Add a member, or change one", nil, withBody((*call).putMember)},
		{"DELETE /admin/v1/accounts/{id}/members/{member}", operatorsOnly, admin, team, "Remove a member; its keys are revoked", nil, noBody((*call).removeMember)},
	}
}

func priceEndpoints() []endpoint {
	const tag = "price book"
	return []endpoint{
		{"GET /admin/v1/prices", operatorsOnly, read, tag, "The price file in force", nil, noBody((*call).showPrices)},
		{"GET /admin/v1/prices/unpriced", operatorsOnly, read, tag, "Requests without a price, and models without an entry of their own", nil, noBody((*call).unpriced)},
		{"GET /admin/v1/prices/file", operatorsOnly, read, tag, "The price file on disk, and what is wrong with it", nil, noBody((*call).priceFile)},
		{"POST /admin/v1/prices/check", operatorsOnly, read, tag, "Check a price file", nil, withBody((*call).checkPrices)},
		{"POST /admin/v1/prices/explain", operatorsOnly, read, tag, "What a request would hold, and why", nil, withBody((*call).explainPrices)},
		{"POST /admin/v1/prices/diff", operatorsOnly, read, tag, "What another price file changes; with days, what it would have cost", nil, withBody((*call).diffPrices)},
		{"POST /admin/v1/prices/replay", operatorsOnly, read, tag, "What the charges of the last days would have cost by another price file", nil, withBody((*call).replayPrices)},
		{"POST /admin/v1/prices/reload", operatorsOnly, admin, tag, "Put the price file on disk in force", nil, withBody((*call).reloadPrices)},
		{"GET /admin/v1/plans", operatorsOnly, read, tag, "Plans and packs, and how many accounts are on them", nil, noBody((*call).listPlans)},
		{"GET /admin/v1/margin", operatorsOnly, read, tag, "What was charged and what it was worth, over all accounts", params("from", "a day or an instant", "to", "the day or instant at which it ends, not included", "period", "24h, 7d, 30d or this_period, instead of from and to", "tz", "time zone of days", "group_by", "operation, model, feature or account"), noBody((*call).margin)},
	}
}

func gatewayEndpoints() []endpoint {
	const tag, hooks = "gateway", "events"
	return []endpoint{
		{"GET /admin/v1/health", operatorsOnly, read, tag, "Whether all is well", nil, noBody((*call).health)},
		{"GET /admin/v1/holds", operatorsOnly, read, tag, "Open holds, oldest first", nil, noBody((*call).listHolds)},
		{"GET /admin/v1/ledger/verify", operatorsOnly, read, tag, "Recompute all books from the journal", nil, noBody((*call).verify)},
		{"GET /admin/v1/backup", operatorsOnly, admin, tag, "A copy of the whole ledger", nil, stream("application/octet-stream", (*call).backup)},
		{"POST /admin/v1/clock/confirm", operatorsOnly, admin, tag, "Accept the system's clock after a jump", nil, noBody((*call).confirmClock)},
		{"POST /admin/v1/portal-sessions", operatorsOnly, admin, tag, "Make a link that opens the portal once", nil, withBody((*call).createPortalSession)},
		{"GET /admin/v1/operator-keys", operatorsOnly, admin, tag, "Operators' keys", nil, noBody((*call).listOperatorKeys)},
		{"POST /admin/v1/operator-keys", operatorsOnly, admin, tag, "Create an operator's key", nil, withBody((*call).createOperatorKey)},
		{"DELETE /admin/v1/operator-keys/{key}", operatorsOnly, admin, tag, "Revoke an operator's key", nil, noBody((*call).revokeOperatorKey)},
		{"GET /admin/v1/webhooks", operatorsOnly, read, hooks, "Where events go", nil, noBody((*call).listWebhooks)},
		{"POST /admin/v1/webhooks/{webhook}/test", operatorsOnly, admin, hooks, "Send a test event", nil, noBody((*call).testWebhook)},
		{"POST /admin/v1/webhooks/{webhook}/enable", operatorsOnly, admin, hooks, "Switch an endpoint on that answered 410", nil, noBody((*call).enableWebhook)},
		{"GET /admin/v1/webhooks/deliveries", operatorsOnly, read, hooks, "What was sent and what waits, newest first", params("state", "pending, delivered or failed", "endpoint", "only to this one", "limit", "up to 1000"), noBody((*call).listDeliveries)},
		{"POST /admin/v1/webhooks/deliveries/{delivery}/redeliver", operatorsOnly, admin, hooks, "Send a delivery again", nil, noBody((*call).redeliver)},
	}
}
