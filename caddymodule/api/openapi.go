package api

import (
	"github.com/farebox-dev/farebox/caddymodule/api/openapi"
)

// openAPI describes everything below Base.
func (c *call) openAPI() {
	a := c.api
	a.describing.Do(func() {
		var ops []openapi.Operation
		for _, e := range endpoints() {
			if e.customers != nobody || a.Console {
				ops = append(ops, e.operation())
			}
		}
		a.document, a.describeErr = openapi.Document("Farebox", "Credits, usage and prices of accounts. Amounts are decimal strings in credits, times RFC 3339; lists are {data, next_cursor}.",
			"1", []string{a.Base}, ops)
	})
	if a.describeErr != nil {
		WriteError(c.w, a.describeErr)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = c.w.Write(a.document)
}
