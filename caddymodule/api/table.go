package api

import (
	"slices"

	"github.com/farebox-dev/farebox/caddymodule/api/openapi"
	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/event"
)

func params(pairs ...string) (list []openapi.Param) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, openapi.Param{Name: pairs[i], Description: pairs[i+1]})
	}
	return list
}

// oneOf is a parameter with a list of values.
func oneOf(name, description string, values ...string) []openapi.Param {
	return []openapi.Param{{Name: name, Description: description, OneOf: values}}
}

var (
	ofPeriod = oneOf("period", "instead of from and to", "24h", "7d", "30d", "this_period")
	ofSpan   = slices.Concat(params("from", "a day (2026-11-22) or an instant; default 29 days ago", "to", "the day or instant at which it ends, exclusive"), ofPeriod,
		params("tz", "time zone of days, such as Europe/Berlin; default the price file's"))
	ofAccounts  = slices.Concat(params("q", "text in the id, the name or the plan", "plan", "only accounts on this plan", "label", "only accounts with this label: name=value, or name; with a comma, all of several"), oneOf("state", "only these; low: below a threshold", account.States...))
	ofDimension = params("operation", "only these", "feature", "only these", "model", "only these", "member", "only these", "key", "only these (id of the key)")
)

// customerEndpoints are those of the portal. Operators use them for any account
// that they name.
func customerEndpoints() []endpoint {
	return []endpoint{
		{"GET /v1/balance", viewers, read, "credits", "The balance, the burn rate, and what the balance pays for", nil, noBody((*call).balance)},
		{"GET /v1/balance/days", viewers, read, "credits", "The available credits of the last days, every six hours, and a forecast", params("tz", "time zone of days"), noBody((*call).trail)},
		{"GET /v1/account", viewers, read, "credits", "The account, its plan and the plan's metadata", nil, noBody((*call).accountSummary)},
		{"GET /v1/prices", viewers, read, "prices", "The price list and the plans in force", nil, priceList(noBody((*call).prices))},
		{"GET /v1/packs", viewers, read, "prices", "Packs for sale", nil, priceList(noBody((*call).packs))},
		{"POST /v1/estimate", viewers, read, "prices", "The cost of a request, or of a mix of operations over some days", nil, general(withBody((*call).estimate))},
		{"GET /v1/usage", viewers, read, "usage", "Usage by interval and group", slices.Concat(oneOf("interval", "length of the intervals", "hour", "day", "week", "month"), params("group_by", "operation, feature, model, member, key, or a label of the price file"), oneOf("format", "default json", "json", "csv"), ofSpan, ofDimension), labelled(noBody((*call).usage))},
		{"GET /v1/usage/hints", viewers, read, "usage", "Ways to use fewer credits for the same", slices.Concat(ofSpan, ofDimension), labelled(noBody((*call).hints))},
		{"GET /v1/charges", viewers, read, "usage", "Charges, newest first", slices.Concat(oneOf("state", "only these", "open", "charged", "refunded", "refunded in part"), params("outcome", "only these: answered, upstream 502, …", "q", "text in any field", "limit", "up to 500; default 50", "cursor", "next_cursor of the previous page"), oneOf("format", "default json; focus is FOCUS 1.2", "json", "jsonl", "csv", "focus"), ofSpan, ofDimension), labelled(noBody((*call).charges))},
		{"GET /v1/charges/{charge}", viewers, read, "usage", "A charge, the calculation of its cost, and the grants that paid for it", nil, noBody((*call).charge)},
		{"GET /v1/ledger", admins, read, "usage", "The journal, newest first; for admins", params("limit", "up to 1000; default 50", "cursor", "next_cursor of the previous page"), noBody((*call).ledger)},
		{"GET /v1/events", viewers, read, "usage", "Server-sent events: change, whenever the account changes", nil, stream("text/event-stream", (*call).events)},
		{"GET /v1/session", anyone, read, "session", "Who is signed in", nil, noBody((*call).showSession)},
		{"POST /v1/session", anyone, read, "session", "Sign in with a key; sets a cookie", nil, withBody((*call).signIn)},
		{"DELETE /v1/session", anyone, read, "session", "Sign out", nil, noBody((*call).signOut)},
		{"GET /v1/accounts", signedIn, read, "session", "The accounts of the session", nil, noBody((*call).sessionAccounts)},
		{"GET /v1/alerts", viewers, read, "alerts", "Thresholds and recipients of alerts", nil, noBody((*call).alerts)},
		{"PUT /v1/alerts", admins, admin, "alerts", "Set the account's own thresholds; [] means none, null means those of the price file", nil, withBody((*call).setAlerts)},
		{"GET /v1/webhook", admins, read, "alerts", "The account's own webhook and its latest deliveries", nil, noBody((*call).webhook)},
		{"PUT /v1/webhook", admins, admin, "alerts", "Set the account's own webhook; the response has the signing secret", nil, withBody((*call).setWebhook)},
		{"DELETE /v1/webhook", admins, admin, "alerts", "Remove the account's own webhook", nil, noBody((*call).removeWebhook)},
		{"GET /v1/keys", viewers, read, "team", "API keys", nil, noBody((*call).keys)},
		{"POST /v1/keys", members, admin, "team", "Create an API key; it is shown once", nil, withBody((*call).createKey)},
		{"PATCH /v1/keys/{key}", admins, admin, "team", "Limit the requests that a key may have under way at once", nil, withBody((*call).changeKey)},
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
		{"GET /admin/v1/accounts", operatorsOnly, read, accounts, "Accounts, filtered and sorted", slices.Concat(ofAccounts, oneOf("sort", "default id; balance: largest first, changed and created: newest first", slices.Concat([]string{"id"}, account.Orders)...), params("limit", "up to 1000; default 200", "cursor", "next_cursor of the previous page")), noBody((*call).listAccounts)},
		{"POST /admin/v1/accounts", operatorsOnly, admin, accounts, "Create an account", nil, withBody((*call).createAccount)},
		{"POST /admin/v1/accounts/import", operatorsOnly, admin, accounts, "Create accounts with plans, balances, members and keys from a list; a second import of the same list changes nothing", slices.Concat(oneOf("format", "default jsonl: an account per line", "jsonl", "csv"), oneOf("dry_run", "default false; true changes nothing", "true", "false")), upload("application/x-ndjson", (*call).importAccounts)},
		{"GET /admin/v1/accounts/{id}", operatorsOnly, read, accounts, "An account", nil, noBody((*call).showAccount)},
		{"PATCH /admin/v1/accounts/{id}", operatorsOnly, admin, accounts, "Rename, suspend or resume an account, set its labels and its limit of requests at once", nil, withBody((*call).patchAccount)},
		{"POST /admin/v1/accounts/{id}/close", operatorsOnly, admin, accounts, "Close an account: refuse its requests, end its plan now, revoke its keys; credits and journal stay", nil, withBody((*call).closeAccount)},
		{"POST /admin/v1/accounts/{id}/erase", operatorsOnly, admin, accounts, "Close an account and erase what names people in it, for good: its journal and charges leave, its totals stay", nil, withBody((*call).eraseAccount)},
		{"PUT /admin/v1/accounts/{id}/subscription", operatorsOnly, admin, accounts, "Move an account to a plan, now or at the renewal", nil, withBody((*call).setPlan)},
		{"DELETE /admin/v1/accounts/{id}/subscription", operatorsOnly, admin, accounts, "End the subscription", slices.Concat(oneOf("when", "default renewal", "renewal", "now"), params("reason", "recorded in the journal")), noBody((*call).cancelPlan)},
		{"GET /admin/v1/accounts/{id}/charges/{charge}", operatorsOnly, read, accounts, "A charge", nil, noBody((*call).charge)},
		{"GET /admin/v1/accounts/{id}/journal", operatorsOnly, read, accounts, "The journal", params("limit", "up to 10,000; the newest", "after", "sequence number: those after it, oldest first"), noBody((*call).journal)},
		{"GET /admin/v1/accounts/{id}/periods", operatorsOnly, read, accounts, "Billing periods that have closed, newest first, with their overage", params("limit", "up to 1000; default 24"), noBody((*call).listPeriods)},
		{"POST /admin/v1/accounts/{id}/subscription/renew", operatorsOnly, grant, credits, "Book the payment for one period", nil, idempotent(withBody((*call).renew))},
		{"POST /admin/v1/accounts/{id}/grants", operatorsOnly, grant, credits, "Grant a pack, or an amount of a type", nil, idempotent(withBody((*call).grant))},
		{"POST /admin/v1/grants", operatorsOnly, grant, credits, "Grant the same to every account of a filter, or to all; a repeat with the same key grants to those that have not got it", slices.Concat(ofAccounts, oneOf("dry_run", "default false; true changes nothing", "true", "false")), idempotent(withBody((*call).grantAll))},
		{"POST /admin/v1/accounts/{id}/grants/{grant}/void", operatorsOnly, grant, credits, "Revoke what is left of a grant", nil, withBody((*call).void)},
		{"POST /admin/v1/grants/{grant}/void", operatorsOnly, grant, credits, "The same, by the id of the grant", nil, withBody((*call).void)},
		{"POST /admin/v1/accounts/{id}/charges/{charge}/refund", operatorsOnly, grant, credits, "Refund a charge, in full or in part", nil, idempotent(withBody((*call).refund))},
		{"POST /admin/v1/charges/{charge}/refund", operatorsOnly, grant, credits, "The same, by the id of the charge", nil, idempotent(withBody((*call).refund))},
		{"GET /admin/v1/accounts/{id}/keys", operatorsOnly, read, team, "API keys of an account", nil, noBody((*call).keys)},
		{"POST /admin/v1/accounts/{id}/keys", operatorsOnly, admin, team, "Create an API key; it is shown once", nil, withBody((*call).createKey)},
		{"PATCH /admin/v1/accounts/{id}/keys/{key}", operatorsOnly, admin, team, "Limit the requests that a key may have under way at once", nil, withBody((*call).changeKey)},
		{"DELETE /admin/v1/accounts/{id}/keys/{key}", operatorsOnly, admin, team, "Revoke a key", nil, noBody((*call).revokeKey)},
		{"POST /admin/v1/accounts/{id}/keys/{key}/rotate", operatorsOnly, admin, team, "Create a key with the same rights; the old one expires after the overlap", nil, withBody((*call).rotateKey)},
		{"GET /admin/v1/accounts/{id}/members", operatorsOnly, read, team, "Members of an account", nil, noBody((*call).members)},
		{"POST /admin/v1/accounts/{id}/members", operatorsOnly, admin, team, "Add a member", nil, withBody((*call).addMember)},
		{"GET /admin/v1/accounts/{id}/members/{member}", operatorsOnly, read, team, "A member", nil, noBody((*call).showMember)},
		{"PUT /admin/v1/accounts/{id}/members/{member}", operatorsOnly, admin, team, "Add a member, or change one", nil, withBody((*call).putMember)},
		{"DELETE /admin/v1/accounts/{id}/members/{member}", operatorsOnly, admin, team, "Remove a member; its keys are revoked", nil, noBody((*call).removeMember)},
		{"POST /admin/v1/accounts/{id}/members/{member}/erase", operatorsOnly, admin, team, "Remove a member, and erase its name, mail address, sessions and names of keys; its id stays in charges and journal until they leave", nil, noBody((*call).eraseMember)},
	}
}

func priceEndpoints() []endpoint {
	const tag = "price book"
	return []endpoint{
		{"GET /admin/v1/prices", operatorsOnly, read, tag, "The price file in force", nil, noBody((*call).showPrices)},
		{"GET /admin/v1/prices/unpriced", operatorsOnly, read, tag, "Requests without a price, and models without an entry of their own", nil, noBody((*call).unpriced)},
		{"GET /admin/v1/prices/file", operatorsOnly, read, tag, "The price file on disk, and its errors", nil, noBody((*call).priceFile)},
		{"POST /admin/v1/prices/check", operatorsOnly, read, tag, "Check a price file", nil, withBody((*call).checkPrices)},
		{"POST /admin/v1/prices/explain", operatorsOnly, read, tag, "The hold of a request, and its calculation", nil, withBody((*call).explainPrices)},
		{"POST /admin/v1/prices/diff", operatorsOnly, read, tag, "The differences of another price file; with days, what past charges would have cost", nil, withBody((*call).diffPrices)},
		{"POST /admin/v1/prices/replay", operatorsOnly, read, tag, "The cost of past charges with another price file", nil, withBody((*call).replayPrices)},
		{"GET /admin/v1/prices/history", operatorsOnly, read, tag, "Every time that a price file came into force, newest first: when, by whom, and what it changed", params("limit", "up to 200; default 50"), noBody((*call).priceHistory)},
		{"GET /admin/v1/prices/history/{digest}", operatorsOnly, read, tag, "A price file that is or was in force", nil, noBody((*call).pastPrices)},
		{"POST /admin/v1/prices/history/{digest}/restore", operatorsOnly, admin, tag, "Write an earlier price file to the disk again, and put it in force", nil, withBody((*call).restorePrices)},
		{"POST /admin/v1/prices/reload", operatorsOnly, admin, tag, "Put the price file on disk in force", nil, withBody((*call).reloadPrices)},
		{"GET /admin/v1/plans", operatorsOnly, read, tag, "Plans and packs, and the number of accounts on each", nil, noBody((*call).listPlans)},
		{"GET /admin/v1/margin", operatorsOnly, read, tag, "Charges of all accounts and their worth", slices.Concat(ofSpan, oneOf("group_by", "default operation", "operation", "model", "feature", "account")), noBody((*call).margin)},
	}
}

func gatewayEndpoints() []endpoint {
	const tag, hooks = "gateway", "events"
	return []endpoint{
		{"GET /admin/v1/health", operatorsOnly, read, tag, "The state of the gateway", nil, noBody((*call).health)},
		{"GET /admin/v1/holds", operatorsOnly, read, tag, "Open holds, oldest first", nil, noBody((*call).listHolds)},
		{"GET /admin/v1/ledger/verify", operatorsOnly, read, tag, "Recompute all balances from the journal", nil, noBody((*call).verify)},
		{"POST /admin/v1/ledger/compact", operatorsOnly, admin, tag, "Let go what is older than the retention, and make the ledger's files small", nil, noBody((*call).compact)},
		{"GET /admin/v1/ledger/follow", operatorsOnly, admin, tag, "The whole ledger, and then every update of it, for a standby", nil, stream("application/octet-stream", (*call).follow)},
		{"GET /admin/v1/backup", operatorsOnly, admin, tag, "A copy of the whole ledger", nil, stream("application/octet-stream", (*call).backup)},
		{"GET /admin/v1/clock", operatorsOnly, read, tag, "The ledger's clock next to the system's", nil, noBody((*call).clock)},
		{"POST /admin/v1/clock/confirm", operatorsOnly, admin, tag, "Trust a system clock that is ahead", nil, noBody((*call).confirmClock)},
		{"POST /admin/v1/portal-sessions", operatorsOnly, admin, tag, "Create a link that signs in to the portal once", nil, withBody((*call).createPortalSession)},
		{"GET /admin/v1/operator-keys", operatorsOnly, admin, tag, "Operator keys", nil, noBody((*call).listOperatorKeys)},
		{"POST /admin/v1/operator-keys", operatorsOnly, admin, tag, "Create an operator key", nil, withBody((*call).createOperatorKey)},
		{"DELETE /admin/v1/operator-keys/{key}", operatorsOnly, admin, tag, "Revoke an operator key", nil, noBody((*call).revokeOperatorKey)},
		{"GET /admin/v1/webhooks", operatorsOnly, read, hooks, "Endpoints of events", nil, noBody((*call).listWebhooks)},
		{"POST /admin/v1/webhooks/{webhook}/test", operatorsOnly, admin, hooks, "Send a test event", nil, noBody((*call).testWebhook)},
		{"POST /admin/v1/webhooks/{webhook}/enable", operatorsOnly, admin, hooks, "Enable an endpoint that was disabled by a 410", nil, noBody((*call).enableWebhook)},
		{"GET /admin/v1/webhooks/deliveries", operatorsOnly, read, hooks, "Deliveries, newest first", slices.Concat(oneOf("state", "only these", event.Pending, event.Delivered, event.Failed), params("endpoint", "only to this one", "limit", "up to 1000")), noBody((*call).listDeliveries)},
		{"POST /admin/v1/webhooks/deliveries/{delivery}/redeliver", operatorsOnly, admin, hooks, "Send a delivery again", nil, noBody((*call).redeliver)},
	}
}
