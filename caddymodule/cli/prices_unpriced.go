package cli

import (
	"fmt"
	"net/http"
	"text/tabwriter"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

// caughtLately asks a running server, if there is one, what this price file
// would only price by a pattern: a new model may be dearer than the one that the
// pattern was written for.
func (c *cli) caughtLately(text []byte) []api.CaughtRow {
	var v api.CheckView
	if _, err := c.ask(http.MethodPost, "/meter/prices/check", "", map[string]string{"text": string(text)}, &v); err != nil {
		return nil
	}
	return v.Caught
}

func printCaught(w *tabwriter.Writer, rows []api.CaughtRow) {
	if len(rows) > 0 {
		fmt.Fprintf(w, "models of the last %d days without an entry of their own:\n", api.CaughtDays)
	}
	for _, r := range rows {
		by := "by " + r.Entry
		if r.Unlisted {
			by = "as " + r.Entry + " (policies.unlisted_model)"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", r.Model, by, api.Plural(int(r.Requests), "request"), r.Credits)
	}
}
