package cli

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
	f.Var(valueFlag{filter, "label"}, "label", "only accounts with this label: segment=beta, or segment for any value; several with commas")
	f.Var(valueFlag{filter, "q"}, "search", "only accounts with this text in the id, the name or the plan")
}

func maxConcurrentFlag(cmd *cobra.Command, most *int) {
	cmd.Flags().IntVar(most, "max-concurrent", 0, "the most requests that it may have under way at once (default: as the plan says)")
}

// maxConcurrentCommand limits what is named by its arguments.
func (c *cli) maxConcurrentCommand(of string, set func(cmd *cobra.Command, args []string, most int) error) *cobra.Command {
	names := strings.Count(of, " ") + 1
	return command("max-concurrent "+of+" N", "Limit the requests under way at once; 0: no limit of its own", cobra.ExactArgs(names+1), func(cmd *cobra.Command, args []string) error {
		most, err := strconv.Atoi(args[names])
		if err != nil {
			return misused(cmd, fmt.Errorf("%q is not a number of requests; write one such as 20, or 0 for no limit of its own", args[names]))
		}
		return set(cmd, args, most)
	})
}

func orNone(most int) string {
	if most == 0 {
		return "no limit of its own"
	}
	return api.Plural(most, "request")
}

// changed changes an account, and shows it.
func (c *cli) changed(uri string, in any) error {
	return request(c, http.MethodPatch, uri, "", in, func(w *tabwriter.Writer, a api.AccountView) {
		fmt.Fprintf(w, "changed  %s\tat once %s\tlabels %s\n", a.ID, orNone(a.MaxConcurrent), orDash(labelsText(a.Labels)))
	})
}

func (c *cli) labelCommand() *cobra.Command {
	return command("label ACCOUNT NAME=VALUE …", "Set labels of an account; NAME= removes one", cobra.MinimumNArgs(2), func(_ *cobra.Command, args []string) error {
		labels, err := parseLabels(args[1:])
		if err != nil {
			return err
		}
		return c.changed(accountURI(args[0]), map[string]any{"labels": labels})
	})
}

// parseLabels reads "segment=beta".
func parseLabels(texts []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, &exit{exitInvalid, errors.New("the label " + text + ": write a name and a value, such as segment=beta, or segment= to remove it")}
		}
		labels[name] = value
	}
	return labels, nil
}

func labelsText(labels map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, name+"="+labels[name])
	}
	return strings.Join(list, " ")
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
