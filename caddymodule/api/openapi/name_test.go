package openapi

import "testing"

func TestNamesOfOperations(t *testing.T) {
	for pattern, want := range map[string]string{
		"GET /v1/balance": "getBalance", "GET /v1/charges": "listCharges", "GET /v1/charges/{charge}": "getCharge", "POST /v1/estimate": "estimate",
		"GET /v1/alerts": "getAlerts", "PUT /v1/members/{member}": "setMember", "POST /v1/keys": "createKey", "PATCH /v1/keys/{key}": "updateKey",
		"GET /admin/v1/webhooks/deliveries": "adminListWebhooksDeliveries", "POST /admin/v1/webhooks/deliveries/{delivery}/redeliver": "adminRedeliverWebhooksDelivery",
		"POST /admin/v1/accounts/{id}/grants/{grant}/void": "adminVoidAccountGrant", "POST /admin/v1/portal-sessions": "adminCreatePortalSession",
		"GET /admin/v1/prices/history": "adminListPricesHistory", "GET /admin/v1/prices/history/{digest}": "adminGetPricesHistory",
		"GET /admin/v1/ledger/verify": "adminVerifyLedger", "DELETE /admin/v1/operator-keys/{key}": "adminDeleteOperatorKey",
	} {
		if got := operationID(pattern); got != want {
			t.Errorf("%s is %s, want %s", pattern, got, want)
		}
	}
}
