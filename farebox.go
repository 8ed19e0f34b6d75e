// Package farebox holds the files that ship with the gateway.
package farebox

import _ "embed"

// Pricing is the price file at the root of the repository, which `farebox meter
// demo` starts with.
//
//go:embed pricing.yaml
var Pricing []byte

// Schema is the JSON Schema of the price file, for editors.
//
//go:embed docs/pricing.schema.json
var Schema []byte
