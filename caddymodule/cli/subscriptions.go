package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/spf13/cobra"
)

// change sends a change of an account and prints the account as it is then.
func (c *cli) change(method, uri, key string, in any) error {
	return request(c, method, uri, key, in, func(w *tabwriter.Writer, a api.AccountView) { printAccount(w, a) })
}

func (c *cli) setPlanCommand() *cobra.Command {
	var when, reason, renewsAt string
	cmd := command("set-plan ACCOUNT PLAN", "Move an account to another plan", cobra.ExactArgs(2), func(_ *cobra.Command, args []string) error {
		in := api.PlanRequest{Plan: args[1], When: when, Reason: reason}
		if renewsAt != "" {
			var err error
			if in.RenewsAt, err = dayOrInstant(renewsAt); err != nil {
				return &exit{exitInvalid, fmt.Errorf("--renews-at %q: write 2026-12-12 or 2026-12-12T00:00:00Z", renewsAt)}
			}
		}
		return c.change(http.MethodPut, accountURI(args[0], "subscription"), "", in)
	})
	cmd.Flags().StringVar(&renewsAt, "renews-at", "", "when the first billing period ends, as the payment system has it")
	cmd.Flags().StringVar(&when, "when", "now", "now, or renewal")
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger")
	return cmd
}

func (c *cli) renewCommand() *cobra.Command {
	var reason, key string
	cmd := command("renew ACCOUNT", `Book the payment for one period of a plan with "renews: when_paid"`, cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return c.change(http.MethodPost, accountURI(args[0], "subscription", "renew"), orNew(key), map[string]string{"reason": reason})
	})
	idempotencyFlag(cmd, &key, "idempotency key, such as the id of the payment: the same one renews once")
	cmd.Flags().StringVar(&reason, "reason", "", "why, such as the id of the invoice")
	return cmd
}

func (c *cli) endCommand() *cobra.Command {
	var when, reason string
	cmd := command("end ACCOUNT", "End the subscription; then the default plan applies", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		q := url.Values{"when": {when}, "reason": {reason}}
		return c.change(http.MethodDelete, accountURI(args[0], "subscription")+"?"+q.Encode(), "", nil)
	})
	cmd.Flags().StringVar(&when, "when", "renewal", "renewal, or now")
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger")
	return cmd
}

func (c *cli) suspendCommand(use string, suspended bool) *cobra.Command {
	short := map[bool]string{true: "Refuse all requests of an account; its credits stay", false: "Let a suspended account spend again"}[suspended]
	var reason string
	cmd := command(use+" ACCOUNT", short, cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return c.change(http.MethodPatch, accountURI(args[0]), "", map[string]any{"suspended": suspended, "reason": reason})
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger")
	return cmd
}

func (c *cli) closeCommand() *cobra.Command {
	var reason string
	cmd := command("close ACCOUNT", "Refuse all requests, end the plan now and revoke all keys; credits and journal stay", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return c.change(http.MethodPost, accountURI(args[0], "close"), "", map[string]string{"reason": reason})
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger")
	return cmd
}

func (c *cli) voidCommand() *cobra.Command {
	var reason string
	cmd := command("void GRANT", "Take back what is left of a grant", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return c.move("/meter/grants/"+url.PathEscape(args[0])+"/void", "", map[string]string{"reason": reason}, "voided", "−")
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger (required)")
	return cmd
}

func (c *cli) refundCommand() *cobra.Command {
	var reason, amount, key string
	cmd := command("refund CHARGE", "Give a charge back, whole or in part, to the grants that paid it", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return c.move("/meter/charges/"+url.PathEscape(args[0])+"/refund", orNew(key), map[string]string{"reason": reason, "amount": amount}, "refunded", "+")
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept in the ledger (required)")
	idempotencyFlag(cmd, &key, "idempotency key: the same one refunds once")
	cmd.Flags().StringVar(&amount, "amount", "", "how much (default: all that is left)")
	return cmd
}

// move sends what moves credits and needs a reason.
func (c *cli) move(uri, key string, in map[string]string, done, sign string) error {
	if in["reason"] == "" {
		return &exit{exitInvalid, errors.New(`a reason is required: --reason "…"; the ledger keeps it`)}
	}
	if in["amount"] == "" {
		delete(in, "amount")
	}
	return request(c, http.MethodPost, uri, key, in, func(w *tabwriter.Writer, v api.MovedView) {
		fmt.Fprintf(w, "%s  %s  %s%s %s   %s now has %s\n", done, v.ID, sign, v.Amount, v.Unit, v.Account, v.Available)
	})
}

// idempotencyFlag adds --idempotency-key, and --key, its old name, which says so
// when it is used.
func idempotencyFlag(cmd *cobra.Command, key *string, usage string) {
	f := cmd.Flags()
	f.StringVar(key, "idempotency-key", "", usage)
	f.StringVar(key, "key", "", usage)
	_ = f.MarkDeprecated("key", "write --idempotency-key") // the flag exists, see above
	cmd.MarkFlagsMutuallyExclusive("key", "idempotency-key")
}

// orNew is an idempotency key of the caller's, or a fresh one.
func orNew(key string) string {
	if key != "" {
		return key
	}
	return "cli-" + strconv.FormatInt(time.Now().UnixNano(), 36)
}

// dayOrInstant reads a day, as its midnight in UTC, or an instant.
func dayOrInstant(text string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}
