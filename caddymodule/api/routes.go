package api

import (
	"net/http"
	"slices"

	"github.com/farebox-dev/farebox/caddymodule/api/openapi"
	"github.com/farebox-dev/farebox/meter/directory"
)

func (a *API) openAPI(w http.ResponseWriter, _ *http.Request) {
	doc, err := a.document()
	if err != nil {
		WriteError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(doc)
}

// describe is the OpenAPI document of everything below Base.
func (a *API) describe() ([]byte, error) {
	return openapi.Document("Farebox", "Credits, usage and prices of accounts. Amounts are decimal strings in credits, times RFC 3339; lists are {data, next_cursor}.",
		"1", []string{a.Base}, append(Operations(), a.Operations...))
}

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

// route is an endpoint of the portal API: what answers, who may ask, which
// parameters it has, and its description. There is no other list of them.
type route struct {
	openapi.Operation
	fn     endpoint
	needs  need
	labels bool // labels of the price file are parameters, too
}

// routes are all endpoints of the portal API.
var routes = slices.Concat(moneyRoutes(), reportRoutes(), peopleRoutes())

// Operations describe them.
func Operations() []openapi.Operation {
	list := make([]openapi.Operation, 0, len(routes))
	for _, r := range routes {
		list = append(list, r.Operation)
	}
	return list
}

// checkQuery is CheckQuery with the account, which pages send with everything,
// and the labels of the price file.
func (r *route) checkQuery(rawQuery string, labels []string) error {
	if !r.labels {
		labels = nil
	}
	return r.CheckQuery(rawQuery, append([]string{"account"}, labels...)...)
}

func moneyRoutes() []route {
	return []route{
		{fn: (*call).balance, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/balance", Tag: "credits", Summary: "What the account has, how fast it goes, and what it is enough for", Params: ofAccount, Out: BalanceView{}}},
		{fn: (*call).trail, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/balance/days", Tag: "credits", Summary: "What was available over the last days, every six hours, and what would be if it goes on like this", Params: append(params("tz", "time zone of days"), ofAccount...), Out: TrailView{}}},
		{fn: (*call).showAccount, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/account", Tag: "credits", Summary: "The account, its plan and the plan's metadata", Params: ofAccount, Out: AccountView{}}},
		{fn: (*call).prices, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/prices", Tag: "prices", Summary: "The price list and the plans, as they are in force", Params: ofAccount, Out: PricesView{}}},
		{fn: (*call).packs, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/packs", Tag: "prices", Summary: "Packs that can be bought", Params: ofAccount, Out: list[PackView]{}}},
		{fn: (*call).estimate, needs: someone, Operation: openapi.Operation{Pattern: "POST /v1/estimate", Tag: "prices", Summary: "What a request, or a mix of operations over some days, would cost", Params: ofAccount, In: EstimateRequest{}, Out: EstimateAnswer{}}},
	}
}

func reportRoutes() []route {
	return []route{
		{fn: (*call).usage, needs: someone, labels: true, Operation: openapi.Operation{Pattern: "GET /v1/usage", Tag: "usage", Summary: "What was used, by interval and group", Out: UsageView{}, Params: append(append(params(
			"interval", "hour, day, week or month", "group_by", "operation, feature, model, member, key, or a label of the price file", "format", "json or csv"), ofSpan...), ofDimension...)}},
		{fn: (*call).hints, needs: someone, labels: true, Operation: openapi.Operation{Pattern: "GET /v1/usage/hints", Tag: "usage", Summary: "Ways to use fewer credits for the same", Params: append(ofSpan[:len(ofSpan):len(ofSpan)], ofDimension...), Out: list[HintView]{}}},
		{fn: (*call).charges, needs: someone, labels: true, Operation: openapi.Operation{Pattern: "GET /v1/charges", Tag: "usage", Summary: "Charges, newest first", Out: list[ChargeView]{}, Params: append(append(params(
			"state", "open, charged, refunded, or refunded in part", "outcome", "answered, upstream 502, …", "q", "text in any field", "limit", "up to 500; default 50", "cursor", "next_cursor of the page before",
			"format", "json, jsonl, csv, or focus (FOCUS 1.2)"), ofSpan...), ofDimension...)}},
		{fn: (*call).charge, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/charges/{charge}", Tag: "usage", Summary: "A charge, why it cost that, and what it was drawn from", Params: ofAccount, Out: ChargeDetail{}}},
		{fn: (*call).ledger, needs: admin, Operation: openapi.Operation{Pattern: "GET /v1/ledger", Tag: "usage", Summary: "The journal, newest first; for admins", Params: append(params("limit", "up to 1000; default 50", "cursor", "next_cursor of the page before"), ofAccount...), Out: list[EntryView]{}}},
		{fn: (*call).events, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/events", Tag: "usage", Summary: "Server-sent events: change, whenever something of the account has changed", Params: ofAccount, Media: "text/event-stream"}},
	}
}

func peopleRoutes() []route {
	return []route{
		{fn: (*call).showSession, needs: anybody, Operation: openapi.Operation{Pattern: "GET /v1/session", Tag: "session", Summary: "Who is signed in", Out: SessionView{}, Public: true, Params: ofAccount}},
		{fn: (*call).signIn, needs: anybody, Operation: openapi.Operation{Pattern: "POST /v1/session", Tag: "session", Summary: "Sign in with a key; sets a cookie", In: struct {
			Key string `json:"key"`
		}{}, Out: SessionView{}, Public: true}},
		{fn: (*call).signOut, needs: anybody, Operation: openapi.Operation{Pattern: "DELETE /v1/session", Tag: "session", Summary: "Sign out", Out: map[string]bool{}, Public: true}},
		{fn: (*call).listAccounts, needs: signedIn, Operation: openapi.Operation{Pattern: "GET /v1/accounts", Tag: "session", Summary: "The accounts that the session opens", Out: list[SeatView]{}, Params: ofAccount}},
		{fn: (*call).alerts, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/alerts", Tag: "alerts", Summary: "When the account's admins are told that credits run low", Params: ofAccount, Out: AlertsView{}}},
		{fn: (*call).setAlerts, needs: admin, Operation: openapi.Operation{Pattern: "PUT /v1/alerts", Tag: "alerts", Summary: "Set the account's own thresholds; [] is none, null those of the price file", Params: ofAccount, In: struct {
			Below []string `json:"below"`
		}{}, Out: AlertsView{}}},
		{fn: (*call).webhook, needs: admin, Operation: openapi.Operation{Pattern: "GET /v1/webhook", Tag: "alerts", Summary: "The account's own webhook and its latest deliveries", Params: ofAccount, Out: WebhookView{}}},
		{fn: (*call).setWebhook, needs: admin, Operation: openapi.Operation{Pattern: "PUT /v1/webhook", Tag: "alerts", Summary: "Set the account's own webhook; the answer has the secret that signs", Params: ofAccount, In: struct {
			URL string `json:"url"`
		}{}, Out: WebhookView{}}},
		{fn: (*call).removeWebhook, needs: admin, Operation: openapi.Operation{Pattern: "DELETE /v1/webhook", Tag: "alerts", Summary: "Remove the account's own webhook", Params: ofAccount, Out: WebhookView{}}},
		{fn: (*call).keys, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/keys", Tag: "team", Summary: "API keys", Params: ofAccount, Out: list[directory.Key]{}}},
		{fn: (*call).createKey, needs: spender, Operation: openapi.Operation{Pattern: "POST /v1/keys", Tag: "team", Summary: "Create an API key; it is shown once", Params: ofAccount, In: newKey{}, Out: NewKeyView{}}},
		{fn: (*call).revokeKey, needs: spender, Operation: openapi.Operation{Pattern: "DELETE /v1/keys/{key}", Tag: "team", Summary: "Revoke a key", Params: ofAccount, Out: directory.Key{}}},
		{fn: (*call).members, needs: someone, Operation: openapi.Operation{Pattern: "GET /v1/members", Tag: "team", Summary: "The account's members", Params: ofAccount, Out: list[directory.Member]{}}},
		{fn: (*call).putMember, needs: admin, Operation: openapi.Operation{Pattern: "PUT /v1/members/{member}", Tag: "team", Summary: "Add a member, or change one", Params: ofAccount, In: directory.MemberChange{}, Out: directory.Member{}}},
		{fn: (*call).removeMember, needs: admin, Operation: openapi.Operation{Pattern: "DELETE /v1/members/{member}", Tag: "team", Summary: "Remove a member; its keys are revoked", Params: ofAccount, Out: directory.Member{}}},
	}
}
