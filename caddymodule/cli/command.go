package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "meter",
		Usage: "<command>",
		Short: "Accounts, credits, keys and prices of the meter",
		Long: `Accounts, credits, API keys and prices of the meter.

Commands talk to the running server through Caddy's admin endpoint. Those that
only read (list, show, journal, verify) open the data directory that --data names,
whether a server runs or not; if a server has it open, they ask that one.

They print tables on a terminal and JSON when piped. Exit codes: 0 ok, 1 error,
2 invalid input or price file, 3 server not reachable, 4 refused, 5 not found,
6 the ledger does not verify.`,
		CobraFunc: func(cmd *cobra.Command) {
			c := &cli{}
			f := cmd.PersistentFlags()
			f.StringVar(&c.address, "address", caddy.DefaultAdminListen, "admin endpoint of the running server")
			f.StringVar(&c.data, "data", "", "data directory to read instead of asking the server")
			f.StringVar(&c.prices, "pricing", "pricing.yaml", "price file that belongs to --data")
			f.BoolVar(&c.json, "json", false, "print JSON")
			f.BoolVar(&c.dryRun, "dry-run", false, "print what would be changed, and change nothing")
			f.BoolVar(&c.table, "table", false, "print tables, also when piped")
			cmd.AddCommand(c.commands()...)
			c.complete(cmd)
		},
	})
}

// commands are all of farebox meter.
func (c *cli) commands() []*cobra.Command {
	return []*cobra.Command{
		c.accountCommands(), c.importAccountsCommand(), c.grantCommand(), c.voidCommand(), c.refundCommand(), c.keyCommands(), c.memberCommands(),
		c.journalCommand(), oldName(c.journalCommand(), "history ACCOUNT", "journal"), c.usageCommand(), c.estimateCommand(), c.exportCommand(), c.webhookCommands(), c.operatorCommands(), c.portalCommand(), c.doctorCommand(),
		c.pricesCommands(), c.verifyCommand(), c.backupCommand(), c.backupsCommand(), c.restoreCommand(), c.copyCommand(), c.migrateCommand(), c.initCommand(), c.upgradeCommand(), c.followCommand(), c.clockCommands(), c.compactCommand(), c.demoCommand(), c.advanceCommand(),
	}
}

// commandNames are "account create", "grant", …
func commandNames() (names []string) {
	for _, cmd := range new(cli).commands() {
		if cmd.Deprecated != "" {
			continue
		}
		if !cmd.HasSubCommands() {
			names = append(names, cmd.Name())
		}
		for _, sub := range cmd.Commands() {
			names = append(names, cmd.Name()+" "+sub.Name())
		}
	}
	return names
}

// Exit codes of farebox meter.
const (
	exitOK = iota
	exitError
	exitInvalid
	exitNoServer
	exitRefused
	exitNotFound
	exitBroken
)

// exit is an error with its exit code.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string { return e.err.Error() }

func (e *exit) Unwrap() error { return e.err }

// cli is what all commands share.
type cli struct {
	address, data, prices string
	json, table, dryRun   bool
}

// asJSON: a person gets tables, a program JSON.
func (c *cli) asJSON() bool {
	if c.json || c.table {
		return c.json
	}
	return !term.IsTerminal(int(os.Stdout.Fd())) //nolint:gosec // a file descriptor fits
}

// command wires a function to cobra: its error goes to stderr, in one piece, and
// its code to the shell. Wrong arguments and flags are invalid input.
func command(use, short string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, SilenceErrors: true, SilenceUsage: true,
		Args: func(cmd *cobra.Command, given []string) error {
			return misused(cmd, cmp.Or(args(cmd, given), cmd.ValidateFlagGroups()))
		}, // cobra would check the flags without a word
		RunE: func(cmd *cobra.Command, args []string) error { return fail(cmd, run(cmd, args)) },
	}
	cmd.SetFlagErrorFunc(misused)
	return cmd
}

func misused(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return fail(cmd, &exit{exitInvalid, fmt.Errorf("%w\nusage: %s", err, cmd.UseLine())})
}

// fail prints an error and gives it its exit code.
func fail(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	if err.Error() != "" {
		fmt.Fprintln(os.Stderr, err)
	}
	var e *exit
	if errors.As(err, &e) && e.code == exitOK {
		return nil
	}
	if errors.As(err, &e) && e.code > exitError {
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return e.code, nil })(cmd, nil)
	}
	return err
}

// group is a command that only has subcommands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short}
	g.AddCommand(subs...)
	return g
}

// complete lets the shell complete account ids, from the running server.
func (c *cli) complete(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		c.complete(sub)
	}
	words := strings.Fields(cmd.Use)
	if len(words) < 2 || words[1] != "ACCOUNT" && words[1] != "[ACCOUNT]" {
		return
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ids, err := c.accountIDs()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// progress says on a terminal how far something long is.
func (c *cli) progress(format string, args ...any) {
	if term.IsTerminal(int(os.Stderr.Fd())) { //nolint:gosec // a file descriptor fits
		fmt.Fprintf(os.Stderr, "\r\033[K"+format, args...)
	}
}

// oldName is a command under the name that it had before: it works, and says
// what to write instead.
func oldName(cmd *cobra.Command, use, now string) *cobra.Command {
	cmd.Use, cmd.Deprecated = use, "write: farebox meter "+now
	return cmd
}
