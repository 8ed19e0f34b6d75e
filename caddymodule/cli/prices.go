package cli

import (
	"errors"
	"fmt"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// loadForCommand reads a price file for a command; the error is what is wrong with it.
func loadForCommand(file string, text []byte) (*pricing.Book, error) {
	book, problems := pricefile.Load(file, text)
	if book == nil {
		return nil, fmt.Errorf("%w:\n%s", api.ErrPrices, problems)
	}
	return book, nil
}

var errNoServer = errors.New("no server answers")
