package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/health"
)

// Finding is one thing that the doctor looked at.
type Finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Says string `json:"says"`
	Do   string `json:"do,omitempty"` // what to do about it
}

func (c *cli) doctorCommand() *cobra.Command {
	return command("doctor", "Look for what is wrong: server, clock, ledger, price file, deliveries", cobra.NoArgs, func(*cobra.Command, []string) error {
		d := &doctor{cli: c}
		d.server()
		d.prices()
		d.holds()
		d.deliveries()
		d.verify()
		sick := 0
		for _, f := range d.found {
			if !f.OK {
				sick++
			}
		}
		err := c.show(api.List[Finding]{Data: d.found}, func(w *tabwriter.Writer) {
			for _, f := range d.found {
				mark := "ok"
				if !f.OK {
					mark = "!!"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", mark, f.What, f.Says)
				if f.Do != "" {
					fmt.Fprintf(w, "\t\t→ %s\n", f.Do)
				}
			}
		})
		if err == nil && sick > 0 {
			return &exit{exitError, fmt.Errorf("%d of %d checks failed", sick, len(d.found))}
		}
		return err
	})
}

type doctor struct {
	*cli
	found []Finding
	down  bool
}

func (d *doctor) say(what string, err error, ok, do string) {
	f := Finding{What: what, OK: err == nil, Says: ok}
	if err != nil {
		f.Says, f.Do = err.Error(), do
	}
	d.found = append(d.found, f)
}

// server asks the gateway how its parts do, ready or not.
func (d *doctor) server() {
	var h api.HealthView
	res, err := d.send(http.MethodGet, "/meter/health", http.Header{}, nil)
	if err == nil {
		defer res.Body.Close() //nolint:errcheck // read to its end
		if err = json.NewDecoder(res.Body).Decode(&h); err != nil {
			err = fmt.Errorf("GET /meter/health: %s: %w", res.Status, err)
		}
	}
	d.down = err != nil
	d.say("server", err, fmt.Sprintf("Farebox %s answers at %s", h.Version, d.address), "start it: farebox run")
	for _, p := range h.Parts {
		d.found = append(d.found, Finding{What: p.Name, OK: p.Status == health.OK, Says: p.Text, Do: p.Do})
	}
	if off := time.Since(h.Now).Abs(); !d.down && h.Clock == "ok" && off > time.Minute {
		d.say("clock of the gateway", fmt.Errorf("it differs from this machine's by %s", off.Round(time.Second)), "", "set the clock right")
	}
}

// prices checks the price file of the server, or without a server the one that
// --pricing names.
func (d *doctor) prices() {
	if !d.down {
		var v api.FileView
		_, err := d.ask(http.MethodGet, "/meter/prices/file", "", nil, &v)
		if err == nil && !v.Loaded {
			err = fmt.Errorf("the file on disk is not in force: %s", v.Summary)
		}
		d.say("price file", err, v.File+" is in force", "farebox meter prices reload says what is wrong, or puts it in force")
		return
	}
	text, err := os.ReadFile(d.cli.prices)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		_, err = loadForCommand(d.cli.prices, text)
	}
	d.say("price file", err, d.cli.prices+" has no errors", "farebox meter prices check "+d.cli.prices)
}

func (d *doctor) holds() {
	if d.down {
		return
	}
	var l api.List[api.HoldView]
	_, err := d.ask(http.MethodGet, "/meter/holds", "", nil, &l)
	text := fmt.Sprintf("%d open", len(l.Data))
	if err == nil && len(l.Data) > 0 {
		age := time.Since(l.Data[0].At).Round(time.Second)
		if text += fmt.Sprintf(", the oldest for %s", age); age > 24*time.Hour {
			err = fmt.Errorf("%s (charge %s of account %s)", text, l.Data[0].Charge, l.Data[0].Account)
		}
	}
	d.say("open holds", err, text, "a job that never ends? farebox meter refund CHARGE, once it is settled; see job: in the price file")
}

func (d *doctor) deliveries() {
	if d.down {
		return
	}
	var l api.List[event.Delivery]
	_, err := d.ask(http.MethodGet, "/meter/webhooks/deliveries?state=pending&limit=1000", "", nil, &l)
	late := 0
	for _, x := range l.Data {
		if x.Attempts > 2 {
			late++
		}
	}
	if err == nil && late > 0 {
		err = fmt.Errorf("%d events could not be delivered for minutes; the last: %s", late, l.Data[0].Error)
	}
	d.say("events", err, fmt.Sprintf("%d wait for delivery", len(l.Data)), "farebox meter webhook deliveries --state pending")
}

func (d *doctor) verify() {
	if d.down && d.data == "" {
		return
	}
	var v api.VerifyView
	_, err := d.ask(http.MethodGet, "/meter/ledger/verify", "", nil, &v)
	if err == nil && !v.OK {
		err = errors.New(v.Problems[0])
	}
	d.say("ledger", err, fmt.Sprintf("%d accounts, %d entries: all consistent", v.Accounts, v.Entries), "farebox meter verify --repair-report says what each broken account had, and what to do")
}
