package pricing

// ParsesYAML runs the YAML library alone, and panics if it does.
func ParsesYAML(text string) { Parse(text) }

// Vocabulary is what the loader takes, by the names of the JSON schema's definitions.
var Vocabulary = map[string][]string{
	"": Sections, "operation": operationKeys, "plan": planKeys, "model": append(modelKeys, rateKeys...), "rates": rateKeys,
	"policies": policyKeys, "pack": packKeys, "grant": grantKeys, "measured": measuredKeys, "tokenRates": KindNames(),
	"job": jobKeys, "credit": creditKeys, "alert": alertKeys, "links": linkKeys, "bounds": boundKeys, "webhook": webhookKeys,
	"overage": overageKeys, "cap": capKeys, "adjustment": adjustKeys, "selector": selectorKeys,
}
