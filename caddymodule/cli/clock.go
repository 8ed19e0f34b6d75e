package cli

import (
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

func (c *cli) clockCommands() *cobra.Command {
	show := func() error { return request(c, http.MethodGet, "/meter/clock", "", nil, printClock) }
	return group("clock", "The ledger's clock, by which credits renew and expire",
		command("show", "Print the ledger's clock next to the system's", cobra.NoArgs, func(*cobra.Command, []string) error { return show() }),
		command("confirm", "Trust a system's clock that is too far ahead: what is due by it expires and renews", cobra.NoArgs, func(*cobra.Command, []string) error {
			if _, err := c.ask(http.MethodPost, "/meter/clock/confirm", "", nil, nil); err != nil {
				return err
			}
			return show()
		}),
	)
}

func printClock(w *tabwriter.Writer, v api.ClockView) {
	fmt.Fprintf(w, "ledger\t%s\n", v.Ledger.Format(time.RFC3339))
	fmt.Fprintf(w, "system\t%s\n", v.System.Format(time.RFC3339))
	says := v.Says
	if v.OK {
		says = "the ledger's clock follows the system's"
	}
	fmt.Fprintln(w, says)
	if v.Do != "" {
		fmt.Fprintln(w, "→ "+v.Do)
	}
}
