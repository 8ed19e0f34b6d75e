package cli

import (
	"archive/zip"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/farebox-dev/farebox/caddymodule/api"
)

// exported are the files of an account's export, but for the journal.
var exported = []struct{ file, uri, what string }{
	{"account.json", "/meter/accounts/%s", "name, plan, balance, grants"},
	{"members.json", "/meter/accounts/%s/members", "people and programs of the account, with names and mail addresses"},
	{"keys.json", "/meter/accounts/%s/keys", "API keys: names, when they were created and revoked; not the keys themselves, of which only hashes are kept"},
	{"alerts.json", "/meter/portal/v1/alerts?account=%s", "thresholds of alerts, and who gets them"},
	{"webhook.json", "/meter/portal/v1/webhook?account=%s", "the account's own webhook and the latest deliveries to it"},
	{"periods.json", "/meter/accounts/%s/periods?limit=1000", "billing periods"},
	{"usage.csv", "/meter/portal/v1/usage?format=csv&from=FIRST&interval=month&account=%s", "usage of the last ten years by month, also of charges whose details have left"},
	{"charges.csv", "/meter/portal/v1/charges?format=csv&account=%s", "every request: when, what, by whom, its cost"},
	{"charges.jsonl", "/meter/portal/v1/charges?format=jsonl&account=%s", "the same, a JSON object per line"},
}

const journalFile = "journal.jsonl"

func (c *cli) exportAccountCommand() *cobra.Command {
	var file string
	cmd := command("export ACCOUNT", "Write everything that the ledger has about an account into one archive", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		if file == "" {
			file = args[0] + ".zip"
		}
		if err := c.exportAccount(args[0], file); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "wrote %s\n", file)
		return nil
	})
	cmd.Flags().StringVarP(&file, "output", "o", "", "the archive (default: ACCOUNT.zip)")
	return cmd
}

// exportAccount writes the archive. A file that is there stays as it is.
func (c *cli) exportAccount(account, file string) (err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator's own file
	if err != nil {
		return &exit{exitInvalid, err}
	}
	defer func() {
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			_ = os.Remove(file)
		}
	}()
	z := zip.NewWriter(f)
	add := func(name string, content []byte) error {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(content)
		}
		return err
	}
	readme := fmt.Sprintf("Everything that Farebox has about the account %s.\n\n", account)
	for _, x := range exported {
		readme += fmt.Sprintf("%-14s  %s\n", x.file, x.what)
	}
	readme += fmt.Sprintf("%-14s  the journal: every change of the balance, a JSON object per line\n\nAmounts are in credits, times in UTC.\n", journalFile)
	if err := add("README.txt", []byte(readme)); err != nil {
		return err
	}
	first := time.Now().AddDate(-9, -11, 0).Format(time.DateOnly) // the API goes back ten years at once
	for _, x := range exported {
		var raw json.RawMessage
		if _, err := c.ask(http.MethodGet, strings.Replace(fmt.Sprintf(x.uri, url.QueryEscape(account)), "FIRST", first, 1), "", nil, &raw); err != nil {
			return fmt.Errorf("%s: %w", x.file, err)
		}
		if err := add(x.file, raw); err != nil {
			return err
		}
	}
	w, err := z.Create(journalFile)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(w)
	for after := uint64(0); ; {
		var page api.List[api.EntryView]
		if _, err := c.ask(http.MethodGet, accountURI(account)+fmt.Sprintf("/journal?limit=10000&after=%d", after), "", nil, &page); err != nil {
			return err
		}
		for i := range page.Data {
			if err := lines.Encode(page.Data[i]); err != nil {
				return err
			}
			after = page.Data[i].Seq
		}
		if len(page.Data) == 0 {
			return z.Close()
		}
	}
}

func (c *cli) eraseAccountCommand() *cobra.Command {
	var by string
	yes := false
	cmd := command("erase ACCOUNT", "Close an account and erase what names people in it, for good", cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		var a api.AccountView
		if _, err := c.ask(http.MethodGet, accountURI(args[0]), "", nil, &a); err != nil {
			return err
		}
		if !yes && !c.dryRun {
			if err := confirmed(&a); err != nil {
				return err
			}
		}
		return request(c, http.MethodPost, accountURI(args[0])+"/erase", "", api.EraseRequest{By: by}, func(w *tabwriter.Writer, a api.AccountView) {
			fmt.Fprintf(w, "erased\t%s\tspent %s %s in all\n", a.ID, a.Spent, a.Unit)
			if strings.Contains(a.ID, "@") {
				fmt.Fprintf(w, "The id %s looks like a mail address, and stays: it names the account in the totals.\n", a.ID)
			}
		})
	})
	cmd.Flags().StringVar(&by, "by", userName(), "who erases it, for the entry that stays")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// confirmed asks a person to write the account's id.
func confirmed(a *api.AccountView) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) { //nolint:gosec // a file descriptor fits
		return &exit{exitInvalid, errors.New("erasing cannot be undone; to do it without a question: --yes")}
	}
	fmt.Fprintf(os.Stderr, "%s (%s) has %s %s, overage %s. Its keys, members, charges and journal go for good; its totals stay.\nWrite its id to erase it: ", a.ID, a.Name, a.Available, a.Unit, a.Overage)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != a.ID {
		return &exit{exitRefused, errors.New("nothing was erased")}
	}
	return nil
}

func userName() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "an operator"
}
