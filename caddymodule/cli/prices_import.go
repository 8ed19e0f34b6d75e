package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/change"
	"github.com/farebox-dev/farebox/meter/pricing/importer"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// importFlags are those of every prices import.
type importFlags struct {
	options         importer.Options
	perUSD, against string
	quiet           bool
}

type readTable func([]byte, importer.Options) (*importer.Table, error)

func (c *cli) importCommands() *cobra.Command {
	return group("import", "Turn a public price table into models: lines; prints only, edits nothing",
		c.importCommand("litellm FILE", "Read LiteLLM's price map (model_prices_and_context_window.json)", importer.LiteLLM),
		c.importCommand("openrouter FILE", "Read the answer of OpenRouter's GET /models", importer.OpenRouter))
}

func (c *cli) importCommand(use, short string, read readTable) *cobra.Command {
	var in importFlags
	cmd := command(use, short, cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		return c.importPrices(args[0], &in, read)
	})
	f := cmd.Flags()
	f.StringVar(&in.options.Provider, "provider", "", "only models of this provider, such as openai")
	f.StringSliceVar(&in.options.Models, "models", nil, `only these models, "*" is any run of characters; may be given again`)
	f.StringVar(&in.perUSD, "credits-per-usd", "", "what one USD is in credits (default: by credit.worth of --against, else 1)")
	f.StringVar(&in.against, "against", "", "price file to compare with: prints what is new, changed and missing")
	f.BoolVar(&in.quiet, "quiet", false, "only count what the lines do not express")
	return cmd
}

func (c *cli) importPrices(file string, in *importFlags, read readTable) error {
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if err != nil {
		return &exit{exitInvalid, err}
	}
	var old *pricing.Book
	if in.against != "" {
		if old, err = readBookFile(in.against); err != nil {
			return err
		}
	}
	if in.options.PerUSD, err = creditsPerUSD(in.perUSD, old); err != nil {
		return &exit{exitInvalid, err}
	}
	table, err := read(text, in.options)
	if err != nil {
		return &exit{exitInvalid, fmt.Errorf("%s: %w", file, err)}
	}
	tellNotes(os.Stderr, table, in)
	if len(table.Entries) == 0 {
		return &exit{exitNotFound, fmt.Errorf("%s: no model with a price fits --provider and --models", file)}
	}
	if old != nil {
		return c.compareTable(table, old, in)
	}
	fmt.Printf("# From %s: %s, 1 USD = %s.\n%s", filepath.Base(file), api.Plural(len(table.Entries), "model"), creditsText(in.options.PerUSD), table.YAML())
	return nil
}

func readBookFile(file string) (*pricing.Book, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, &exit{exitInvalid, err}
	}
	book, problems := pricefile.Load(filepath.Base(file), text)
	if book == nil {
		return nil, &exit{exitInvalid, fmt.Errorf("the price file %s has errors:\n%s", file, problems)}
	}
	return book, nil
}

// creditsPerUSD is 1 ÷ credit.worth, if that is a decimal number.
func creditsPerUSD(given string, b *pricing.Book) (money.Decimal, error) {
	one := money.FromInt(1)
	switch {
	case given != "":
		d, err := money.ParseDecimal(given)
		if err != nil || d.IsZero() {
			return d, fmt.Errorf("--credits-per-usd %q: write a number such as 100", given)
		}
		return d, nil
	case b == nil || b.Credit.Worth == nil:
		return one, nil
	}
	w := b.Credit.Worth
	a, err := money.Div(one, w.Amount, money.MaxDecimals)
	d := a.Decimal(money.MaxDecimals)
	if err != nil || w.Currency != "USD" || d.Mul(w.Amount).Cmp(one) != 0 {
		return one, fmt.Errorf("%s: one credit is worth %s, which gives no exact number of credits per USD; set it with --credits-per-usd <number>", b.File, w)
	}
	return d, nil
}

func creditsText(d money.Decimal) string {
	if d.Cmp(money.FromInt(1)) == 0 {
		return "1 credit"
	}
	return d.String() + " credits"
}

// tellNotes says what the lines do not: each field, then a count.
func tellNotes(w io.Writer, t *importer.Table, in *importFlags) {
	if !in.quiet {
		for _, n := range t.Notes {
			fmt.Fprintln(w, n)
		}
	}
	free := 0
	for _, e := range t.Entries {
		if e.Free() {
			free++
		}
	}
	if free > 0 {
		fmt.Fprintf(w, "%s cost nothing in the table: look for \"input: 0\" before you use them\n", api.Plural(free, "model"))
	}
	if units := t.Measured(); len(units) > 0 {
		fmt.Fprintf(w, "priced by units: %s; they count where an operation has a measure for them, or the API reports them\n", strings.Join(units, ", "))
	}
	fmt.Fprintln(w, t.Summary())
}

// importHeader is the least that makes models: a price file.
const importHeader = "version: 1\ncredit: {name: credit}\noperations: {all: {match: /*, price: by_model}}\n"

// compareTable prints how a table differs from the models of a price file.
func (c *cli) compareTable(t *importer.Table, old *pricing.Book, in *importFlags) error {
	book, problems := pricefile.Load("imported", []byte(importHeader+t.YAML()))
	if book == nil {
		return fmt.Errorf("the lines do not load, which is our mistake: %w", problems.Err())
	}
	var changes []change.Change
	same := 0
	for _, m := range book.Models {
		list := change.DiffModel(old, book, m.Key)
		if len(list) == 0 {
			same++
		}
		changes = append(changes, list...)
	}
	views := api.ChangesOf(changes)
	for _, m := range old.Models {
		if selected := book.Model(m.Key) != nil; !selected && !t.Has(m.Key) && !strings.Contains(m.Key, "*") {
			views = append(views, api.ChangeView{Kind: "missing", Section: "models", ID: m.Key, Old: "not in the table"})
		}
	}
	return c.show(views, func(w *tabwriter.Writer) {
		for _, ch := range changes {
			fmt.Fprintln(w, ch)
		}
		for _, v := range views[len(changes):] {
			fmt.Fprintf(w, "missing  models %s: %s\n", v.ID, v.Old)
		}
		fmt.Fprintf(w, "%s the same, %s; 1 USD = %s\n", api.Plural(same, "model"), api.Plural(len(views), "difference"), creditsText(in.options.PerUSD))
	})
}
