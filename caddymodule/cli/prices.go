package cli

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox"
	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

func (c *cli) pricesCommands() *cobra.Command {
	var format string
	check := command("check [FILE]", "Check a price file; says what is wrong and what to write instead", cobra.MaximumNArgs(1), func(_ *cobra.Command, args []string) error {
		return c.check(append(args, c.prices)[0], format)
	})
	check.Flags().StringVar(&format, "format", "", "text, json, or github: annotations of a pull request")
	var body, plan string
	var headers []string
	explain := command("explain METHOD PATH", "Print how a request is priced, line by line", cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
		book, err := readBookFile(c.prices)
		if err != nil {
			return err
		}
		in := api.ExplainRequest{Method: args[0], Path: args[1], Body: body, Header: map[string][]string{}}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ":")
			http.Header(in.Header).Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
		e, err := meter.Explain(book, in.Facts(time.Now()), plan)
		if err != nil {
			return &exit{exitInvalid, err}
		}
		return c.show(map[string]string{"text": e.String(), "hold": e.Quote.Amount.Text(book.Credit.Decimals)}, func(w *tabwriter.Writer) {
			fmt.Fprintln(os.Stdout, e.String())
		})
	})
	explain.Flags().StringVarP(&body, "data-json", "d", "", "JSON body of the request")
	explain.Flags().StringArrayVarP(&headers, "header", "H", nil, `header of the request, "Name: value"`)
	explain.Flags().StringVar(&plan, "plan", "", "plan of the caller")
	var force bool
	reload := command("reload", "Put the price file in force as it is on disk", cobra.NoArgs, func(*cobra.Command, []string) error {
		return request(c, http.MethodPost, "/meter/prices/reload", "", map[string]bool{"force": force}, func(w *tabwriter.Writer, v map[string]string) { fmt.Fprintf(w, "in force   digest %s\n", v["digest"]) })
	})
	reload.Flags().BoolVar(&force, "force", false, "also if prices change by more than max_change, a plan with accounts goes, or the credit changes")
	schema := command("schema", "Print the JSON Schema of the price file, for editors", cobra.NoArgs, func(*cobra.Command, []string) error {
		_, err := os.Stdout.Write(farebox.Schema)
		return err
	})
	return group("prices", "Check, explain, list, compare, import and reload the price file; those before it", append([]*cobra.Command{check, explain, c.listPricesCommand(), c.diffCommand(), c.simulateCommand(), c.importCommands(), reload, schema}, c.pastPricesCommands()...)...)
}

func (c *cli) check(file, format string) error {
	switch format {
	case "", "github":
	case "text", "json":
		c.json, c.table = format == "json", format == "text"
	default:
		return &exit{exitInvalid, fmt.Errorf("--format %q: write text, json or github", format)}
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if err != nil {
		return &exit{exitInvalid, err}
	}
	v, problems := api.CheckPrices(file, text)
	if v.OK {
		v.Caught = c.caughtLately(text)
	}
	if format == "github" {
		fmt.Print(annotations(problems))
		if !v.OK {
			return &exit{exitInvalid, fmt.Errorf("%s has errors", file)}
		}
		return nil
	}
	err = c.show(v, func(w *tabwriter.Writer) {
		if len(problems) > 0 {
			fmt.Fprintln(w, strings.TrimRight(problems.String(), "\n"))
		}
		if v.OK {
			fmt.Fprintf(w, "%s: ok   %s   digest %s\n", file, v.Summary, v.Digest[:12])
			printCaught(w, v.Caught)
		} else {
			fmt.Fprintf(w, "%s: %s\n", file, v.Summary)
		}
	})
	if err == nil && !v.OK {
		return &exit{exitInvalid, fmt.Errorf("%s has errors", file)}
	}
	return err
}

// annotations are problems as workflow commands of GitHub Actions, which shows
// them next to the lines of a pull request.
func annotations(problems pricefile.Problems) string {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	var s strings.Builder
	for _, p := range problems {
		kind, message := "error", p.Message
		if p.Warning {
			kind = "warning"
		}
		if p.Path != "" {
			message = p.Path + ": " + message
		}
		fmt.Fprintf(&s, "::%s file=%s,line=%d,col=%d::%s\n", kind, property.Replace(p.File), p.Line, p.Column, data.Replace(message))
	}
	return s.String()
}

func (c *cli) listPricesCommand() *cobra.Command {
	return command("list [FILE]", "Print every price of the file in words", cobra.MaximumNArgs(1), func(_ *cobra.Command, args []string) error {
		file := append(args, c.prices)[0]
		book, err := readBookFile(file)
		if err != nil {
			return err
		}
		prices := book.PricesList()
		return c.show(prices, func(w *tabwriter.Writer) {
			fmt.Fprintln(w, "OPERATION\tMODEL\tPRICE")
			for _, p := range prices {
				note := ""
				if p.Adjusted {
					note = "  (depends on the request, too)"
				}
				fmt.Fprintf(w, "%s\t%s\t%s%s\n", p.Operation, orDash(p.Model), p.Words, note)
			}
		})
	})
}

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

// loadForCommand reads a price file for a command; the error is what is wrong with it.
func loadForCommand(file string, text []byte) (*pricing.Book, error) {
	book, problems := pricefile.Load(file, text)
	if book == nil {
		return nil, fmt.Errorf("%w:\n%s", api.ErrPrices, problems)
	}
	return book, nil
}
