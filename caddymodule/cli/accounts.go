package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
)

func accountURI(id string, rest ...string) string {
	parts := []string{"/meter/accounts", url.PathEscape(id)}
	for _, r := range rest {
		parts = append(parts, url.PathEscape(r))
	}
	return strings.Join(parts, "/")
}

// request asks the operator's API, and prints the answer: JSON for programs, or
// what table writes.
func request[T any](c *cli, method, uri, idempotency string, in any, table func(w *tabwriter.Writer, v T)) error {
	var v T
	if _, err := c.ask(method, uri, idempotency, in, &v); err != nil {
		return err
	}
	return c.show(v, func(w *tabwriter.Writer) { table(w, v) })
}

// show prints JSON for programs, or what table writes.
func (c *cli) show(v any, table func(w *tabwriter.Writer)) error {
	if c.asJSON() {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 3, ' ', 0)
	table(w)
	return w.Flush()
}

func (c *cli) accountCommands() *cobra.Command {
	var name, plan string
	var labels []string
	var most int
	create := command("create ACCOUNT", "Create an account on a plan", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		in := map[string]any{"id": args[0], "name": name, "plan": plan, "max_concurrent": most}
		var err error
		if in["labels"], err = parseLabels(labels); err != nil {
			return err
		}
		return request(c, http.MethodPost, "/meter/accounts", "", in, func(w *tabwriter.Writer, a api.AccountView) {
			fmt.Fprintf(w, "created  %s\tplan %s\t%s %s\t%s\n", a.ID, orDash(a.Plan), spendable(&a), a.Unit, renews(a))
		})
	})
	create.Flags().StringVar(&name, "name", "", "name for people")
	create.Flags().StringVar(&plan, "plan", "", "plan of the price file (default: its default_plan)")
	create.Flags().StringArrayVar(&labels, "label", nil, "a label, such as segment=beta; may be repeated")
	maxConcurrentFlag(create, &most)
	filter := url.Values{}
	list := command("list", "List accounts", cobra.NoArgs, func(*cobra.Command, []string) error { return c.listAccounts(filter) })
	filterFlags(list, filter)
	list.Flags().Var(valueFlag{filter, "sort"}, "sort", "id, balance, changed or created (default id)")
	show := command("show ACCOUNT", "Show balance, plan and grants of an account", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodGet, accountURI(args[0]), "", nil, func(w *tabwriter.Writer, a api.AccountView) { printAccount(w, a) })
	})
	return group("account", "Create, list and show accounts, change their plans", create, list, show,
		c.setPlanCommand(), c.renewCommand(), c.endCommand(), c.suspendCommand("suspend", true), c.suspendCommand("resume", false), c.closeCommand(), c.exportAccountCommand(), c.eraseAccountCommand(), c.labelCommand(),
		c.maxConcurrentCommand("ACCOUNT", func(_ *cobra.Command, args []string, most int) error {
			return c.changed(accountURI(args[0]), map[string]any{"max_concurrent": most})
		}))
}

func (c *cli) listAccounts(filter url.Values) error {
	var all []api.AccountView
	cursor := ""
	for {
		var page api.List[api.AccountView]
		if _, err := c.ask(http.MethodGet, "/meter/accounts?limit=1000&cursor="+url.QueryEscape(cursor)+"&"+filter.Encode(), "", nil, &page); err != nil {
			return err
		}
		all = append(all, page.Data...)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	return c.show(api.List[api.AccountView]{Data: append([]api.AccountView{}, all...)}, func(w *tabwriter.Writer) {
		fmt.Fprintln(w, "ACCOUNT\tPLAN\tAVAILABLE\tHELD\tSPENT")
		for _, a := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.ID, orDash(a.Plan), spendable(&a), a.Held, a.Spent)
		}
	})
}

func spendable(a *api.AccountView) string {
	if a.Unlimited {
		return "unlimited"
	}
	return a.Available
}

func renews(a api.AccountView) string {
	if a.RenewsAt == nil {
		return ""
	}
	word := "renews "
	if a.Subscribing != "" {
		word = a.Subscribing + " "
	}
	return word + a.RenewsAt.Format(time.DateOnly)
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func printAccount(w *tabwriter.Writer, a api.AccountView) {
	fmt.Fprintf(w, "%s  %s\tplan %s\t%s\n", a.ID, a.Name, orDash(a.Plan), renews(a))
	worth := ""
	if a.Worth != "" {
		worth = " (" + a.Worth + ")"
	}
	fmt.Fprintf(w, "available\t%s %s%s\theld %s\toverage %s\n", spendable(&a), a.Unit, worth, a.Held, a.Overage)
	for _, g := range a.Grants {
		ends := "never ends"
		if g.ExpiresAt != nil {
			ends = "ends " + g.ExpiresAt.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "  %s\t%s of %s\t%s/%s used\t%s\t%s\n", g.Type, g.Remaining, g.Amount, g.Used, g.Amount, ends, g.ID)
	}
	fmt.Fprintf(w, "spent\t%s\tdebt %s\tabsorbed %s\n", a.Spent, a.Debt, a.Absorbed)
	if len(a.Labels) > 0 {
		fmt.Fprintf(w, "labels\t%s\n", labelsText(a.Labels))
	}
	if a.MaxConcurrent > 0 {
		fmt.Fprintf(w, "at once\t%s\n", api.Plural(a.MaxConcurrent, "request"))
	}
}

func (c *cli) grantCommand() *cobra.Command {
	var in account.GrantRequest
	var key string
	bulk := bulkGrant{filter: url.Values{}}
	cmd := command("grant ACCOUNT [AMOUNT]", "Grant credits: an amount, or a pack of the price file; to one account, or with --all or a filter to many", cobra.RangeArgs(0, 2), func(cmd *cobra.Command, args []string) error {
		if bulk.all || len(bulk.filter) > 0 {
			return c.grantMany(&bulk, &in, key, args)
		}
		if len(args) == 0 {
			return misused(cmd, errors.New("name an account, or --all"))
		}
		if len(args) == 2 {
			in.Amount = args[1]
		}
		if in.Reason == "" {
			return &exit{exitInvalid, errors.New(`a reason is required, such as --reason "invoice 2041"; the ledger keeps it`)}
		}
		key = orNew(key)
		return request(c, http.MethodPost, accountURI(args[0], "grants"), key, in, func(w *tabwriter.Writer, r api.GrantResult) {
			if r.Replayed {
				fmt.Fprintf(w, "already granted  %s  (key %s) – nothing changed\n", r.Grant.ID, key)
				return
			}
			ends := "never ends"
			if r.Grant.ExpiresAt != nil {
				ends = "ends " + r.Grant.ExpiresAt.Format(time.DateOnly)
			}
			fmt.Fprintf(w, "granted  %s  +%s %s (%s, %s)   now %s\n", r.Grant.ID, r.Granted, r.Unit, r.Grant.Type, ends, r.Available)
			fmt.Fprintf(w, "undo: farebox meter void %s --reason …\n", r.Grant.ID)
		})
	})
	f := cmd.Flags()
	f.StringVar(&in.Pack, "pack", "", "pack of the price file")
	f.StringVar(&in.Price, "price", "", `paid for a pack with "credits: by_price", such as "25 USD"`)
	f.StringVar(&in.Type, "type", "", "type of the credits (default top_up)")
	f.StringVar(&in.Expires, "expires", "", `how long they live, such as "90 days" (default: they do not expire)`)
	f.StringVar(&in.Reason, "reason", "", "why; kept in the ledger (required)")
	f.BoolVar(&bulk.all, "all", false, "to all accounts, or to all of the filter")
	filterFlags(cmd, bulk.filter)
	idempotencyFlag(cmd, &key, "idempotency key, such as the id of the payment: the same one grants once")
	return cmd
}

func (c *cli) keyCommands() *cobra.Command {
	var name, member string
	var most int
	create := command("create ACCOUNT", "Create an API key; it is shown once", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodPost, accountURI(args[0], "keys"), "", map[string]any{"name": name, "member": member, "max_concurrent": most}, func(w *tabwriter.Writer, k api.NewKeyView) {
			fmt.Fprintf(w, "%s      shown once – store it now\nuse it as   Authorization: Bearer %s…   (or x-api-key)\n", k.Secret, directory.KeyPrefix)
		})
	})
	create.Flags().StringVar(&name, "name", "", "what the key is for")
	create.Flags().StringVar(&member, "member", "", "whose key it is")
	maxConcurrentFlag(create, &most)
	list := command("list ACCOUNT", "List the keys of an account", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodGet, accountURI(args[0], "keys"), "", nil, func(w *tabwriter.Writer, l api.List[directory.Key]) {
			fmt.Fprintln(w, "ID\tKEY\tMEMBER\tNAME\tCREATED\tREVOKED")
			for _, k := range l.Data {
				revoked := ""
				if !k.RevokedAt.IsZero() {
					revoked = k.RevokedAt.Format(time.DateOnly)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Hint, orDash(k.Member), orDash(k.Name), k.CreatedAt.Format(time.DateOnly), orDash(revoked))
			}
		})
	})
	revoke := command("revoke ACCOUNT KEY", "Revoke a key by its id (key_…), at once", cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodDelete, accountURI(args[0], "keys", args[1]), "", nil, func(w *tabwriter.Writer, k directory.Key) { fmt.Fprintf(w, "revoked  %s  %s\n", k.ID, k.Hint) })
	})
	limit := c.maxConcurrentCommand("ACCOUNT KEY", func(_ *cobra.Command, args []string, most int) error {
		return request(c, http.MethodPatch, accountURI(args[0], "keys", args[1]), "", map[string]int{"max_concurrent": most}, func(w *tabwriter.Writer, k directory.Key) {
			fmt.Fprintf(w, "changed  %s\tat once %s\n", k.ID, orNone(k.MaxConcurrent))
		})
	})
	return group("key", "Create, list, limit, rotate and revoke API keys", create, list, limit, c.rotateCommand(), revoke)
}

func (c *cli) rotateCommand() *cobra.Command {
	var overlap string
	cmd := command("rotate ACCOUNT KEY", "Make a new key like this one, which lives on for a while", cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
		return request(c, http.MethodPost, accountURI(args[0], "keys", args[1], "rotate"), "", map[string]string{"overlap": overlap}, func(w *tabwriter.Writer, k api.NewKeyView) {
			fmt.Fprintf(w, "%s      shown once – store it now\nthe old key %s ends in %s\n", k.Secret, args[1], overlap)
		})
	})
	cmd.Flags().StringVar(&overlap, "overlap", "24h", "how long the old key lives on")
	return cmd
}

func (c *cli) journalCommand() *cobra.Command {
	var limit int
	var follow bool
	cmd := command("journal ACCOUNT", "Show the journal of an account: hold, settle, refund, grant, …", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		uri := accountURI(args[0], "journal")
		var l api.List[api.EntryView]
		if _, err := c.ask(http.MethodGet, uri+"?limit="+strconv.Itoa(limit), "", nil, &l); err != nil {
			return err
		}
		if err := c.show(l, func(w *tabwriter.Writer) { printJournal(w, l.Data, true) }); err != nil || !follow {
			return err
		}
		return c.follow(cmd.Context(), uri, l.Data)
	})
	cmd.Flags().IntVar(&limit, "limit", 100, "how many entries, the newest")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	return cmd
}

// follow prints new entries as they come, until it is interrupted.
func (c *cli) follow(ctx context.Context, uri string, shown []api.EntryView) error {
	var last uint64
	for {
		if len(shown) > 0 {
			last = shown[len(shown)-1].Seq
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
		var more api.List[api.EntryView]
		if _, err := c.ask(http.MethodGet, uri+"?limit=1000&after="+strconv.FormatUint(last, 10), "", nil, &more); err != nil {
			return err
		}
		if shown = more.Data; len(shown) == 0 {
			continue
		}
		if err := c.show(more, func(w *tabwriter.Writer) { printJournal(w, more.Data, false) }); err != nil {
			return err
		}
	}
}

func printJournal(w *tabwriter.Writer, entries []api.EntryView, head bool) {
	if head {
		fmt.Fprintln(w, "SEQ\tAT\tKIND\tAMOUNT\tOPERATION\tMODEL\tCHARGE\tDETAIL")
	}
	for _, e := range entries {
		detail := strings.TrimSpace(e.Reason + " " + e.Usage)
		if e.Grant != "" {
			detail = strings.TrimSpace(e.Grant + " " + detail)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Seq, e.At.Format("2006-01-02 15:04:05"), e.Kind, e.Amount, e.Operation, e.Model, e.Charge, detail)
	}
}
