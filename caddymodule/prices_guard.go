package caddymodule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/farebox-dev/farebox/caddymodule/api"
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

// maxChange is the share that "50%" means; 0 is no limit.
func maxChange(text string) (money.Decimal, error) {
	if text == "" {
		return money.Decimal{}, nil
	}
	number, percent := strings.CutSuffix(text, "%")
	d, err := money.ParseDecimal(number)
	if err != nil || !percent || d.IsZero() {
		return d, fmt.Errorf("max_change %q: write a percentage above 0, such as 50%%", text)
	}
	return d.Shift(-2), nil
}

// guard refuses a book whose prices are too far from those in force: a decimal
// point in the wrong place is a price file without errors.
func (a *App) guard(old, book *pricing.Book, now time.Time) error {
	limit, err := maxChange(a.MaxChange)
	if err != nil || limit.IsZero() || old == nil || old.Digest == book.Digest {
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
	return fmt.Errorf("%s changes %s by more than max_change %s:%s\nIf that is meant: farebox meter prices reload --force", a.file, api.Plural(len(jumps), "price"), a.MaxChange, lines.String())
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
