// Package farebox holds the files that ship with the gateway.
package farebox

import "embed"

// Pricing is the price file at the root of the repository, which `farebox meter
// demo` starts with.
//
//go:embed pricing.yaml
var Pricing []byte

// Schema is the JSON Schema of the price file, for editors.
//
//go:embed docs/pricing.schema.json
var Schema []byte

// Docs are the pages of docs/, which the portal serves.
//
//go:embed docs/*.md docs/howto/*.md
var Docs embed.FS
