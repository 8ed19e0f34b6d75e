package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/account"
)

// valueFlag is a flag that is a parameter of the query.
type valueFlag struct {
	to   url.Values
	name string
}

// String implements pflag.Value.
func (v valueFlag) String() string { return v.to.Get(v.name) }

// Set implements pflag.Value.
func (v valueFlag) Set(text string) error { v.to.Set(v.name, text); return nil }

// Type implements pflag.Value.
func (v valueFlag) Type() string { return "string" }

func filterFlags(cmd *cobra.Command, filter url.Values) {
	f := cmd.Flags()
	f.Var(valueFlag{filter, "plan"}, "plan", "only accounts on this plan")
	f.Var(valueFlag{filter, "state"}, "state", "only accounts that are low (below a threshold), in overage, or suspended")
	f.Var(valueFlag{filter, "q"}, "search", "only accounts with this text in the id, the name or the plan")
}

type bulkGrant struct {
	all    bool
	filter url.Values
}

// grantMany grants the same to every account of a filter.
func (c *cli) grantMany(to *bulkGrant, in *account.GrantRequest, key string, args []string) error {
	switch {
	case !to.all:
		return &exit{exitInvalid, errors.New("a grant to many accounts needs --all, too: see first what it does, with --dry-run")}
	case len(args) > 1:
		return &exit{exitInvalid, errors.New("with --all, name no account: farebox meter grant --all AMOUNT")}
	case in.Reason == "":
		return &exit{exitInvalid, errors.New(`a reason is required, such as --reason "outage of 3 May"; the ledger keeps it`)}
	case key == "":
		return &exit{exitInvalid, errors.New("a grant to many accounts needs --idempotency-key, such as outage-2026-05: run it again with the same key, and only those get it that have not got it")}
	case len(args) == 1:
		in.Amount = args[0]
	}
	uri := "/meter/grants?" + to.filter.Encode()
	if c.dryRun {
		uri += "&dry_run=true"
	}
	var v api.GrantedView
	if _, err := c.ask(http.MethodPost, uri, key, in, &v); err != nil {
		return err
	}
	err := c.show(v, func(w *tabwriter.Writer) {
		granted := "granted"
		if v.DryRun {
			fmt.Fprintln(w, "dry run, nothing was changed")
			granted = "would grant"
		}
		fmt.Fprintf(w, "%s\t+%s %s to %s of %s\n", granted, v.Total, v.Unit, api.Plural(v.Granted, "account"), api.Plural(v.Accounts, "account"))
		if v.Before > 0 {
			fmt.Fprintf(w, "granted before\t%s, under the key %s\n", api.Plural(v.Before, "account"), key)
		}
		for _, p := range v.Problems {
			fmt.Fprintf(w, "  %s\t%s\n", p.Account, p.Problem)
		}
	})
	if err == nil && v.Failed > 0 {
		err = &exit{exitRefused, fmt.Errorf("%s got nothing", api.Plural(v.Failed, "account"))}
	}
	return err
}
