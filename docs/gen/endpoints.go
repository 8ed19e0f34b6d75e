package main

import (
	"bytes"
	"errors"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

// endpointsHeading begins the part of docs/api.md that is generated, to its end.
const endpointsHeading = "\n## All endpoints\n"

const endpointsText = `
Paths are relative to ` + "`/_meter`" + `. On Caddy's admin endpoint ` + "`/admin/v1/…` is `/meter/…`, and `/v1/…` is `/meter/portal/v1/…`" + `. "Account" is the least role that a person of the account needs, "Operator" the least scope of an operator's key. Operators name the account with ` + "`account`" + `.
`

// completeEndpoints writes the list of endpoints from their table.
func completeEndpoints(page []byte) ([]byte, error) {
	before, _, ok := bytes.Cut(page, []byte(endpointsHeading))
	if !ok {
		return nil, errors.New("docs/api.md has no heading \"All endpoints\"")
	}
	return append(before, []byte(endpointsHeading+endpointsText+api.Reference())...), nil
}
