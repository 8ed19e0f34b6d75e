package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/money"
)

// portalURI is a path of the portal API, as the command line reaches it: on
// behalf of one account.
func portalURI(path, account string, q url.Values) string {
	if q == nil {
		q = url.Values{}
	}
	for name, v := range q {
		if len(v) == 0 || v[0] == "" {
			delete(q, name)
		}
	}
	if account != "" {
		q.Set("account", account)
	}
	return "/meter/portal/v1/" + path + "?" + q.Encode()
}

func (c *cli) usageCommand() *cobra.Command {
	var from, to, period, by, interval, zone string
	var asCSV bool
	cmd := command("usage ACCOUNT", "Show what an account used, by model, operation, member, …", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		q := url.Values{"from": {from}, "to": {to}, "period": {period}, "group_by": {by}, "interval": {interval}, "tz": {zone}}
		if asCSV {
			q.Set("format", "csv")
			return c.copy(portalURI("usage", args[0], q), os.Stdout)
		}
		return request(c, http.MethodGet, portalURI("usage", args[0], q), "", nil, func(w *tabwriter.Writer, v api.UsageView) { printUsage(w, &v) })
	})
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "first day or instant (2026-11-01)")
	f.StringVar(&to, "to", "", "day or instant at which it ends, not included")
	f.StringVar(&period, "period", "", "24h, 7d, 30d (default) or this_period")
	f.StringVar(&by, "by", "operation", "operation, feature, model, member, key, or a label of the price file")
	f.StringVar(&interval, "interval", "", "hour, day, week or month: a line for each")
	f.StringVar(&zone, "tz", "", "time zone of days (default: the price file's)")
	f.BoolVar(&asCSV, "csv", false, "print CSV")
	return cmd
}

func printUsage(w *tabwriter.Writer, v *api.UsageView) {
	fmt.Fprintf(w, "%s from %s to %s (%s)\n", v.Account, v.From.Format("2006-01-02 15:04"), v.To.Format("2006-01-02 15:04"), "UTC; days of "+v.Timezone)
	head := strings.ToUpper(v.GroupBy)
	if v.Interval != "" {
		head = strings.ToUpper(v.Interval) + "\t" + head
	}
	fmt.Fprintf(w, "%s\tREQUESTS\tQUANTITY\tCREDITS\tSHARE\n", head)
	for i := range v.Data {
		l := &v.Data[i]
		name := orDash(v.Groups[l.Group])
		if v.Interval != "" {
			name = l.Start.Format("2006-01-02 15:04") + "\t" + name
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", name, l.Requests, quantities(l.Quantities), l.Credits, share(l.Credits, v.Total.Credits))
	}
	sum := "together"
	if v.Interval != "" {
		sum += "\t"
	}
	fmt.Fprintf(w, "%s\t%d\t%s\t%s\t\n", sum, v.Total.Requests, quantities(v.Total.Quantities), v.Total.Credits)
	if v.Total.Failed > 0 {
		fmt.Fprintf(w, "%d of the requests failed and cost nothing\n", v.Total.Failed)
	}
}

func quantities(q map[string]string) string {
	var parts []string
	for unit, n := range q {
		parts = append(parts, n+" "+strings.ReplaceAll(unit, "_", " "))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// share is a part of a whole in percent, from decimal text.
func share(part, of string) string {
	a, errA := money.ParseDecimal(part)
	b, errB := money.ParseDecimal(of)
	if errA != nil || errB != nil || b.IsZero() {
		return ""
	}
	p, err := money.Div(a.Shift(2), b, 0)
	if err != nil {
		return ""
	}
	return p.Text(0) + " %"
}

// copy writes an answer as it comes.
func (c *cli) copy(uri string, w io.Writer) error {
	res, err := c.send(http.MethodGet, uri, http.Header{}, nil)
	if err != nil {
		return c.unreachable(http.MethodPost, uri, err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if res.StatusCode >= 300 {
		return decodeAnswer(res, nil)
	}
	_, err = io.Copy(w, res.Body)
	return err
}

func (c *cli) exportCommand() *cobra.Command {
	var from, to, format string
	cmd := command("export [ACCOUNT]", "Write all charges, of one account or of all, to standard output", cobra.MaximumNArgs(1), func(_ *cobra.Command, args []string) error {
		if !slices.Contains([]string{"csv", "jsonl", "focus"}, format) {
			return &exit{exitInvalid, fmt.Errorf("--format %q: write csv, jsonl or focus", format)}
		}
		accounts := args
		if len(args) == 0 {
			var err error
			if accounts, err = c.accountIDs(); err != nil {
				return err
			}
		}
		out := &export{format: format, many: len(args) == 0, w: os.Stdout}
		for i, id := range accounts {
			out.account, out.first = id, i == 0
			if err := c.copy(portalURI("charges", id, url.Values{"from": {from}, "to": {to}, "format": {format}}), out); err != nil {
				return err
			}
			if err := out.end(); err != nil {
				return err
			}
			c.progress("%d of %d accounts", i+1, len(accounts))
		}
		return nil
	})
	cmd.Flags().StringVar(&from, "from", "", "first day or instant (2026-11-01)")
	cmd.Flags().StringVar(&to, "to", "", "day or instant at which it ends, not included")
	cmd.Flags().StringVar(&format, "format", "csv", "csv, jsonl, or focus (FOCUS 1.2)")
	return cmd
}

// export joins the tables of several accounts: one header, and a column that
// says whose each line is.
type export struct {
	format, account string
	many, first     bool
	w               io.Writer
	rest            []byte
	seen            int  // of rest
	quoted          bool // at seen: a line that ends in quotes is not the end of a record
	lines           int
}

func (e *export) Write(b []byte) (int, error) {
	e.rest = append(e.rest, b...)
	for ; e.seen < len(e.rest); e.seen++ {
		switch c := e.rest[e.seen]; {
		case c == '"' && e.format != "jsonl":
			e.quoted = !e.quoted
		case c == '\n' && !e.quoted:
			if err := e.line(e.rest[:e.seen+1]); err != nil {
				return 0, err
			}
			e.rest, e.seen = e.rest[e.seen+1:], -1
		}
	}
	return len(b), nil
}

func (e *export) line(b []byte) error {
	e.lines++
	header := e.lines == 1 && e.format != "jsonl"
	if header && !e.first {
		return nil
	}
	prefix := ""
	if e.many && e.format == "csv" {
		if prefix = e.account + ","; header {
			prefix = "account,"
		}
	}
	_, err := fmt.Fprintf(e.w, "%s%s", prefix, b)
	return err
}

func (e *export) end() (err error) {
	if len(e.rest) > 0 {
		err = e.line(e.rest)
	}
	e.rest, e.seen, e.quoted, e.lines = nil, 0, false, 0
	return err
}

func (c *cli) accountIDs() (ids []string, err error) {
	cursor := ""
	for {
		var page api.List[api.AccountView]
		if _, err := c.ask(http.MethodGet, "/meter/accounts?cursor="+url.QueryEscape(cursor), "", nil, &page); err != nil {
			return nil, err
		}
		for _, a := range page.Data {
			ids = append(ids, a.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			return ids, nil
		}
	}
}

func (c *cli) estimateCommand() *cobra.Command {
	var ops []string
	var days int
	var buffer, account string
	cmd := command("estimate --op image=30/day --op video=10/day --days 22", "What a mix of operations costs, and which plan covers it", cobra.NoArgs, func(*cobra.Command, []string) error {
		in := api.EstimateRequest{Days: days, Buffer: buffer}
		for _, text := range ops {
			line, err := parseOp(text)
			if err != nil {
				return &exit{exitInvalid, err}
			}
			in.Mix = append(in.Mix, line)
		}
		if len(in.Mix) == 0 {
			return &exit{exitInvalid, errors.New("say what: --op image=30/day; once for each operation")}
		}
		return request(c, http.MethodPost, portalURI("estimate", account, nil), "", in, func(w *tabwriter.Writer, v api.EstimateAnswer) { printEstimate(w, &v, buffer) })
	})
	f := cmd.Flags()
	f.StringArrayVar(&ops, "op", nil, "operation=N/day, or operation:model=N/day; may be repeated")
	f.IntVar(&days, "days", 30, "how many days")
	f.StringVar(&buffer, "buffer", "", `how much more, such as "25%"`)
	f.StringVar(&account, "account", "", "account whose mean costs stand for prices that depend on tokens")
	return cmd
}

// parseOp reads "image=30/day" and "chat:gpt-5=100/day".
func parseOp(text string) (api.MixLine, error) {
	name, count, ok := strings.Cut(text, "=")
	count, perDay := strings.CutSuffix(count, "/day")
	if !ok || !perDay || name == "" {
		return api.MixLine{}, fmt.Errorf("--op %q: write it as image=30/day, or chat:gpt-5=100/day", text)
	}
	operation, model, _ := strings.Cut(name, ":")
	return api.MixLine{Operation: operation, Model: model, PerDay: count}, nil
}

func printEstimate(w *tabwriter.Writer, v *api.EstimateAnswer, buffer string) {
	for _, l := range v.Lines {
		note := ""
		if l.Typical {
			note = "mean of the last 30 days"
		}
		fmt.Fprintf(w, "%s\t%s × %s\t%s\t%s\n", strings.TrimSpace(l.Operation+" "+l.Model), l.Times, l.Each, l.Credits, note)
	}
	fmt.Fprintf(w, "\tsum\t%s\t%s\n", v.Sum, v.Unit)
	if buffer != "" {
		fmt.Fprintf(w, "\twith %s buffer\t%s\t%s\n", buffer, v.WithBuffer, v.Worth)
	}
	if p := v.Plan; p != nil {
		fmt.Fprintf(w, "\tsmallest plan that covers it\t%s\t(%s a month)\n", p.ID, p.Credits)
	} else {
		fmt.Fprintf(w, "\tno plan covers it\t\t\n")
	}
}
