package pricing

// ParsesYAML runs the YAML library alone, and panics if it does.
func ParsesYAML(text string) { parseYAML(text, func(int, int, int, string, string) {}) }

// Vocabulary is what the loader takes, by the names of the JSON schema's definitions.
var Vocabulary = map[string][]string{
	"": sections, "operation": operationKeys, "plan": planKeys, "model": append(modelKeys, rateKeys...), "rates": rateKeys,
	"policies": policyKeys, "pack": packKeys, "grant": grantKeys, "measured": measuredKeys, "tokenRates": kindNames[:],
	"job": jobKeys, "credit": creditKeys, "alert": alertKeys, "links": linkKeys, "bounds": boundKeys, "webhook": webhookKeys,
	"overage": overageKeys, "cap": capKeys, "adjustment": adjustKeys, "selector": selectorKeys,
}
