package portal

// routes are all endpoints of the portal API, and what each needs of its
// caller. The OpenAPI document describes the same ones; a test compares.
var routes = map[string]struct {
	fn    endpoint
	needs need
}{
	"GET /v1/session":             {(*call).showSession, anybody},
	"POST /v1/session":            {(*call).signIn, anybody},
	"DELETE /v1/session":          {(*call).signOut, anybody},
	"GET /v1/accounts":            {(*call).listAccounts, signedIn},
	"GET /v1/account":             {(*call).showAccount, someone},
	"GET /v1/balance":             {(*call).balance, someone},
	"GET /v1/balance/days":        {(*call).trail, someone},
	"GET /v1/usage":               {(*call).usage, someone},
	"GET /v1/usage/hints":         {(*call).hints, someone},
	"GET /v1/charges":             {(*call).charges, someone},
	"GET /v1/charges/{charge}":    {(*call).charge, someone},
	"GET /v1/ledger":              {(*call).ledger, admin},
	"GET /v1/prices":              {(*call).prices, someone},
	"GET /v1/packs":               {(*call).packs, someone},
	"POST /v1/estimate":           {(*call).estimate, someone},
	"GET /v1/alerts":              {(*call).alerts, someone},
	"PUT /v1/alerts":              {(*call).setAlerts, admin},
	"GET /v1/webhook":             {(*call).webhook, admin},
	"PUT /v1/webhook":             {(*call).setWebhook, admin},
	"DELETE /v1/webhook":          {(*call).removeWebhook, admin},
	"GET /v1/keys":                {(*call).keys, someone},
	"POST /v1/keys":               {(*call).createKey, spender},
	"DELETE /v1/keys/{key}":       {(*call).revokeKey, spender},
	"GET /v1/members":             {(*call).members, someone},
	"PUT /v1/members/{member}":    {(*call).putMember, admin},
	"DELETE /v1/members/{member}": {(*call).removeMember, admin},
	"GET /v1/events":              {(*call).events, someone},
}
