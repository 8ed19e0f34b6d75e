package pricefile

import "github.com/farebox-dev/farebox/meter/pricing"

// Vocabulary is what the loader takes, by the names of the JSON schema's definitions.
var Vocabulary = map[string][]string{
	"": Sections, "operation": operationKeys, "plan": planKeys, "model": append(modelKeys, rateKeys...), "rates": rateKeys,
	"policies": policyKeys, "pack": packKeys, "grant": grantKeys, "measured": measuredKeys, "tokenRates": pricing.KindNames(),
	"job": jobKeys, "credit": creditKeys, "alert": alertKeys, "links": linkKeys, "bounds": boundKeys, "webhook": webhookKeys,
	"overage": overageKeys, "cap": capKeys, "adjustment": adjustKeys, "selector": selectorKeys,
}
