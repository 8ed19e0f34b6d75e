package api

import "github.com/farebox-dev/farebox/caddymodule/api/openapi"

func params(pairs ...string) (list []openapi.Param) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, openapi.Param{Name: pairs[i], Description: pairs[i+1]})
	}
	return list
}

var (
	ofAccount = params("account", "which account, if the caller has several; operators must say it")
	ofSpan    = append(params("from", "a day (2026-11-22) or an instant; default 29 days ago", "to", "the day or instant at which it ends, not included",
		"period", "24h, 7d, 30d or this_period, instead of from and to", "tz", "time zone of days, such as Europe/Berlin; default the price file's"), ofAccount...)
	ofDimension = params("operation", "only these", "feature", "only these", "model", "only these", "member", "only these", "key", "only these (id of the key)")
)

// customerEndpoints are those of the portal. Operators use them for any account
// that they name.
func customerEndpoints() []endpoint {
	return []endpoint{
		{"GET /v1/balance", viewers, read, "credits", "What the account has, how fast it goes, and what it is enough for", ofAccount, noBody((*call).balance)},
		{"GET /v1/balance/days", viewers, read, "credits", "What was available over the last days, every six hours, and what would be if it goes on like this", append(params("tz", "time zone of days"), ofAccount...), noBody((*call).trail)},
		{"GET /v1/account", viewers, read, "credits", "The account, its plan and the plan's metadata", ofAccount, noBody((*call).accountSummary)},
		{"GET /v1/prices", viewers, read, "prices", "The price list and the plans, as they are in force", ofAccount, priceList(noBody((*call).prices))},
		{"GET /v1/packs", viewers, read, "prices", "Packs that can be bought", ofAccount, priceList(noBody((*call).packs))},
		{"POST /v1/estimate", viewers, read, "prices", "What a request, or a mix of operations over some days, would cost", ofAccount, general(withBody((*call).estimate))},
		{"GET /v1/usage", viewers, read, "usage", "What was used, by interval and group", append(append(params("interval", "hour, day, week or month", "group_by", "operation, feature, model, member, key, or a label of the price file", "format", "json or csv"), ofSpan...), ofDimension...), labelled(noBody((*call).usage))},
		{"GET /v1/usage/hints", viewers, read, "usage", "Ways to use fewer credits for the same", append(ofSpan[:len(ofSpan):len(ofSpan)], ofDimension...), labelled(noBody((*call).hints))},
		{"GET /v1/charges", viewers, read, "usage", "Charges, newest first", append(append(params("state", "open, charged, refunded, or refunded in part", "outcome", "answered, upstream 502, …", "q", "text in any field", "limit", "up to 500; default 50", "cursor", "next_cursor of the page before", "format", "json, jsonl, csv, or focus (FOCUS 1.2)"), ofSpan...), ofDimension...), labelled(noBody((*call).charges))},
		{"GET /v1/charges/{charge}", viewers, read, "usage", "A charge, why it cost that, and what it was drawn from", ofAccount, noBody((*call).charge)},
		{"GET /v1/ledger", admins, read, "usage", "The journal, newest first; for admins", append(params("limit", "up to 1000; default 50", "cursor", "next_cursor of the page before"), ofAccount...), noBody((*call).ledger)},
		{"GET /v1/events", viewers, read, "usage", "Server-sent events: change, whenever something of the account has changed", ofAccount, stream("text/event-stream", (*call).events)},
		{"GET /v1/session", anyone, read, "session", "Who is signed in", ofAccount, noBody((*call).showSession)},
		{"POST /v1/session", anyone, read, "session", "Sign in with a key; sets a cookie", nil, withBody((*call).signIn)},
		{"DELETE /v1/session", anyone, read, "session", "Sign out", nil, noBody((*call).signOut)},
		{"GET /v1/accounts", signedIn, read, "session", "The accounts that the session opens", ofAccount, noBody((*call).sessionAccounts)},
		{"GET /v1/alerts", viewers, read, "alerts", "When the account's admins are told that credits run low", ofAccount, noBody((*call).alerts)},
		{"PUT /v1/alerts", admins, admin, "alerts", "Set the account's own thresholds; [] is none, null those of the price file", ofAccount, withBody((*call).setAlerts)},
		{"GET /v1/webhook", admins, read, "alerts", "The account's own webhook and its latest deliveries", ofAccount, noBody((*call).webhook)},
		{"PUT /v1/webhook", admins, admin, "alerts", "Set the account's own webhook; the answer has the secret that signs", ofAccount, withBody((*call).setWebhook)},
		{"DELETE /v1/webhook", admins, admin, "alerts", "Remove the account's own webhook", ofAccount, noBody((*call).removeWebhook)},
		{"GET /v1/keys", viewers, read, "team", "API keys", ofAccount, noBody((*call).keys)},
		{"POST /v1/keys", members, admin, "team", "Create an API key; it is shown once", ofAccount, withBody((*call).createKey)},
		{"DELETE /v1/keys/{key}", members, admin, "team", "Revoke a key", ofAccount, noBody((*call).revokeKey)},
		{"GET /v1/members", viewers, read, "team", "The account's members", ofAccount, noBody((*call).members)},
		{"PUT /v1/members/{member}", admins, admin, "team", "Add a member, or change one", ofAccount, withBody((*call).putMember)},
		{"DELETE /v1/members/{member}", admins, admin, "team", "Remove a member; its keys are revoked", ofAccount, noBody((*call).removeMember)},
	}
}
