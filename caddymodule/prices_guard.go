package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/change"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// parseMaxChange reads max_change: "50%".
func (a *App) parseMaxChange(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&a.MaxChange) {
		return d.ArgErr()
	}
	if _, err := maxChange(a.MaxChange); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// usualMaxChange lets prices fall to a fifth or rise by four fifths: a decimal point
// in the wrong place is more in either direction, usual changes are less.
const usualMaxChange = "80%"

// maxChange is the share that "50%" means; 0 is no limit.
func maxChange(text string) (money.Decimal, error) {
	switch text {
	case "off":
		return money.Decimal{}, nil
	case "":
		text = usualMaxChange
	}
	number, percent := strings.CutSuffix(text, "%")
	d, err := money.ParseDecimal(number)
	if err != nil || !percent || d.IsZero() {
		return d, fmt.Errorf("max_change %q: write a percentage above 0, such as 50%%, or off", text)
	}
	return d.Shift(-2), nil
}

// guard refuses a book that can hardly be meant: it takes away what accounts have, or
// its prices are too far from those in force. Such a price file has no errors.
func (a *App) guard(old, book *pricing.Book, now time.Time) error {
	if old == nil || old.Digest == book.Digest {
		return nil
	}
	return errors.Join(a.guardCredit(old, book), a.guardPlans(old, book), a.guardRates(old, book, now))
}

const force = "If that is meant: farebox meter prices reload --force"

// guardCredit refuses another credit: balances keep their numbers.
func (a *App) guardCredit(old, book *pricing.Book) error {
	var lines []string
	worth := func(c *pricing.Credit) string {
		if c.Worth == nil {
			return "none"
		}
		return c.Worth.String()
	}
	if was, is := old.Credit.Name, book.Credit.Name; was != is {
		lines = append(lines, fmt.Sprintf("\n  credit.name: %s → %s", was, is))
	}
	if was, is := worth(&old.Credit), worth(&book.Credit); was != is {
		lines = append(lines, fmt.Sprintf("\n  credit.worth: %s → %s", was, is))
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%s changes the credit that every balance is counted in; balances keep their numbers:%s\n%s", a.file, strings.Join(lines, ""), force)
}

// guardPlans refuses to remove plans that accounts are on.
func (a *App) guardPlans(old, book *pricing.Book) error {
	var removed []string
	for _, p := range old.Plans {
		if book.Plan(p.ID) == nil {
			removed = append(removed, p.ID)
		}
	}
	if len(removed) == 0 || a.engine == nil {
		return nil
	}
	ctx := context.Background()
	on, err := a.engine.Accounts.OnPlans(ctx)
	if err != nil {
		return fmt.Errorf("counting the accounts of plans that %s removes: %w", a.file, err)
	}
	var problems []error
	for _, plan := range removed {
		if on[plan] == 0 {
			continue
		}
		const most = 3
		var first []string
		err := a.engine.Accounts.Select(ctx, "", account.Filter{Text: plan, Plan: plan}, func(x *ledger.Account) bool {
			first = append(first, string(x.ID))
			return len(first) < most
		})
		names := strings.Join(first, ", ")
		if n := on[plan] - len(first); n > 0 {
			names += fmt.Sprintf(" and %d more", n)
		}
		problems = append(problems, err, fmt.Errorf("%s removes the plan %s, which %s: %s\nThey would get no allowance any more. Keep the plan, or move them first: farebox meter account set-plan ACCOUNT PLAN\n%s",
			a.file, plan, onPlan(on[plan]), names, force))
	}
	return errors.Join(problems...)
}

func onPlan(n int) string {
	if n == 1 {
		return "1 account is on"
	}
	return fmt.Sprintf("%d accounts are on", n)
}

// guardRates refuses rates that differ by more than max_change.
func (a *App) guardRates(old, book *pricing.Book, now time.Time) error {
	limit, err := maxChange(a.MaxChange)
	if err != nil || limit.IsZero() {
		return err
	}
	jumps := change.Jumps(old, book, limit, now)
	if len(jumps) == 0 {
		return nil
	}
	const most = 10
	var lines strings.Builder
	for i, j := range jumps {
		if i == most {
			fmt.Fprintf(&lines, "\n  and %d more", len(jumps)-most)
			break
		}
		fmt.Fprintf(&lines, "\n  %s", strings.TrimPrefix(j.String(), "changed  "))
	}
	return fmt.Errorf("%s changes %s by more than max_change %s:%s\n%s", a.file, api.Plural(len(jumps), "price"), cmp.Or(a.MaxChange, usualMaxChange), lines.String(), force)
}

// wrongPrices says what is wrong with a price file.
type wrongPrices struct {
	file     string
	problems pricefile.Problems
}

func (e *wrongPrices) Error() string {
	return fmt.Sprintf("the price file %s has errors:\n%s", e.file, e.problems)
}

// stillUsing adds to a refused price file which one goes on.
func stillUsing(err error, b *pricing.Book, since time.Time) error {
	summary := ""
	var wrong *wrongPrices
	if errors.As(err, &wrong) {
		summary = wrong.problems.Summary() + " – "
	}
	return fmt.Errorf("%w\n%s: %snot loaded, still using the book of %s (%s…)", err, b.File, summary, since.UTC().Format("2 Jan 15:04"), b.Digest[:4])
}

// replacePrices writes another text into the price file, and puts it in force. What
// would be refused is not written.
func (a *App) replacePrices(ctx context.Context, text []byte, force bool) error {
	book, problems := pricefile.Load(filepath.Base(a.file), text)
	if book == nil {
		return &wrongPrices{a.file, problems}
	}
	old, _ := a.engine.Book()
	if !force {
		if err := a.guard(old, book, a.engine.Now()); err != nil {
			return err
		}
	}
	if err := replaceFile(a.file, text); err != nil {
		return fmt.Errorf("the price file cannot be written by the gateway, so nothing was changed: %w\nWrite it where it comes from: farebox meter prices show %.12s > pricing.yaml", err, book.Digest)
	}
	return a.reloadPrices(ctx, true)
}

// replaceFile puts a text in the place of a file, whole or not at all. A file that is a
// link, as Kubernetes mounts them, comes from elsewhere and is not replaced.
func replaceFile(file string, text []byte) error {
	info, err := os.Lstat(file)
	mode := os.FileMode(0o644)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a plain file", file)
	case err == nil:
		mode = info.Mode().Perm()
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone if all went well
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
