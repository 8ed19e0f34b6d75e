package portal

import (
	"net/http"

	"github.com/farebox-dev/farebox/caddymodule/openapi"
	"github.com/farebox-dev/farebox/meter/directory"
)

func (p *Portal) openAPI(w http.ResponseWriter, _ *http.Request) {
	doc, err := p.document()
	if err != nil {
		p.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(doc)
}

// describe is the OpenAPI document of everything below Base.
func (p *Portal) describe() ([]byte, error) {
	return openapi.Document("Farebox", "Credits, usage and prices of accounts. Amounts are decimal strings in credits, times RFC 3339; lists are {data, next_cursor}.",
		"1", []string{p.Base}, append(Operations(), p.Operations...))
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

// Operations describe the portal API, one for each route.
func Operations() []openapi.Operation {
	return append(append(moneyOperations(), reportOperations()...), peopleOperations()...)
}

func moneyOperations() []openapi.Operation {
	return []openapi.Operation{
		{Pattern: "GET /v1/balance", Tag: "credits", Summary: "What the account has, how fast it goes, and what it is enough for", Params: ofAccount, Out: BalanceView{}},
		{Pattern: "GET /v1/balance/days", Tag: "credits", Summary: "What was available over the last days, every six hours, and what would be if it goes on like this", Params: append(params("tz", "time zone of days"), ofAccount...), Out: TrailView{}},
		{Pattern: "GET /v1/account", Tag: "credits", Summary: "The account, its plan and the plan's metadata", Params: ofAccount, Out: AccountView{}},
		{Pattern: "GET /v1/prices", Tag: "prices", Summary: "The price list and the plans, as they are in force", Params: ofAccount, Out: PricesView{}},
		{Pattern: "GET /v1/packs", Tag: "prices", Summary: "Packs that can be bought", Params: ofAccount, Out: list[PackView]{}},
		{Pattern: "POST /v1/estimate", Tag: "prices", Summary: "What a request, or a mix of operations over some days, would cost", Params: ofAccount, In: EstimateRequest{}, Out: EstimateAnswer{}},
	}
}

func reportOperations() []openapi.Operation {
	return []openapi.Operation{
		{Pattern: "GET /v1/usage", Tag: "usage", Summary: "What was used, by interval and group", Out: UsageView{}, Params: append(append(params(
			"interval", "hour, day, week or month", "group_by", "operation, feature, model, member, key, or a label of the price file", "format", "json or csv"), ofSpan...), ofDimension...)},
		{Pattern: "GET /v1/usage/hints", Tag: "usage", Summary: "Ways to use fewer credits for the same", Params: ofSpan, Out: list[HintView]{}},
		{Pattern: "GET /v1/charges", Tag: "usage", Summary: "Charges, newest first", Out: list[ChargeView]{}, Params: append(append(params(
			"state", "open, charged, refunded, or refunded in part", "outcome", "answered, upstream 502, …", "q", "text in any field", "limit", "up to 500; default 50", "cursor", "next_cursor of the page before",
			"format", "json, jsonl, csv, or focus (FOCUS 1.2)"), ofSpan...), ofDimension...)},
		{Pattern: "GET /v1/charges/{charge}", Tag: "usage", Summary: "A charge, why it cost that, and what it was drawn from", Params: ofAccount, Out: ChargeDetail{}},
		{Pattern: "GET /v1/ledger", Tag: "usage", Summary: "The journal, newest first; for admins", Params: append(params("limit", "up to 1000; default 50", "cursor", "next_cursor of the page before"), ofAccount...), Out: list[EntryView]{}},
		{Pattern: "GET /v1/events", Tag: "usage", Summary: "Server-sent events: change, whenever something of the account has changed", Params: ofAccount, Media: "text/event-stream"},
	}
}

func peopleOperations() []openapi.Operation {
	return []openapi.Operation{
		{Pattern: "GET /v1/session", Tag: "session", Summary: "Who is signed in", Out: SessionView{}, Public: true, Params: ofAccount},
		{Pattern: "POST /v1/session", Tag: "session", Summary: "Sign in with a key; sets a cookie", In: struct {
			Key string `json:"key"`
		}{}, Out: SessionView{}, Public: true},
		{Pattern: "DELETE /v1/session", Tag: "session", Summary: "Sign out", Out: map[string]bool{}, Public: true},
		{Pattern: "GET /v1/accounts", Tag: "session", Summary: "The accounts that the session opens", Out: list[SeatView]{}, Params: ofAccount},
		{Pattern: "GET /v1/alerts", Tag: "alerts", Summary: "When the account's admins are told that credits run low", Params: ofAccount, Out: AlertsView{}},
		{Pattern: "PUT /v1/alerts", Tag: "alerts", Summary: "Set the account's own thresholds; [] is none, null those of the price file", Params: ofAccount, In: struct {
			Below []string `json:"below"`
		}{}, Out: AlertsView{}},
		{Pattern: "GET /v1/webhook", Tag: "alerts", Summary: "The account's own webhook and its latest deliveries", Params: ofAccount, Out: WebhookView{}},
		{Pattern: "PUT /v1/webhook", Tag: "alerts", Summary: "Set the account's own webhook; the answer has the secret that signs", Params: ofAccount, In: struct {
			URL string `json:"url"`
		}{}, Out: WebhookView{}},
		{Pattern: "DELETE /v1/webhook", Tag: "alerts", Summary: "Remove the account's own webhook", Params: ofAccount, Out: WebhookView{}},
		{Pattern: "GET /v1/keys", Tag: "team", Summary: "API keys", Params: ofAccount, Out: list[directory.Key]{}},
		{Pattern: "POST /v1/keys", Tag: "team", Summary: "Create an API key; it is shown once", Params: ofAccount, In: newKey{}, Out: NewKeyView{}},
		{Pattern: "DELETE /v1/keys/{key}", Tag: "team", Summary: "Revoke a key", Params: ofAccount, Out: directory.Key{}},
		{Pattern: "GET /v1/members", Tag: "team", Summary: "The account's members", Params: ofAccount, Out: list[directory.Member]{}},
		{Pattern: "PUT /v1/members/{member}", Tag: "team", Summary: "Add a member, or change one", Params: ofAccount, In: directory.MemberChange{}, Out: directory.Member{}},
		{Pattern: "DELETE /v1/members/{member}", Tag: "team", Summary: "Remove a member; its keys are revoked", Params: ofAccount, Out: directory.Member{}},
	}
}
