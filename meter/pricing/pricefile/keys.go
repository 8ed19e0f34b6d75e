package pricefile

// The keys of the small mappings; those of the large ones stand with their loaders.
// The JSON Schema and the reference have the same, see TestSchemaVocabulary.
var (
	creditKeys   = []string{"name", "plural", "worth", "decimals"}
	alertKeys    = []string{"below", "runs_out_within", "overage_above"}
	linkKeys     = []string{"top_up", "upgrade", "prices", "support"}
	boundKeys    = []string{"above", "below", "at_least", "at_most"}
	webhookKeys  = []string{"match", "id"}
	overageKeys  = []string{"limit", "times"}
	capKeys      = []string{"per", "amount", "every"}
	adjustKeys   = []string{"when", "times", "price"}
	selectorKeys = []string{"operations", "models", "features", "tags"}
)
