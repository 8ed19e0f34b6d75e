package api

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/account/intake"
	"github.com/farebox-dev/farebox/meter/input"
)

// ImportView is what an import did, or would do. Amounts are decimal strings in
// credits.
type ImportView struct {
	DryRun    bool                    `json:"dry_run,omitempty"`
	Lines     int                     `json:"lines"`
	Created   int                     `json:"created"`
	Unchanged int                     `json:"unchanged"` // imported before from the same line
	Failed    int                     `json:"failed"`
	Members   int                     `json:"members"`
	Keys      int                     `json:"keys"`
	Plans     map[string]int          `json:"plans"`
	Balances  map[string]string       `json:"balances"`
	Unit      string                  `json:"unit"`
	Problems  []account.ImportProblem `json:"problems"`
	More      int                     `json:"more_problems,omitempty"`
}

// importAccounts reads the body as it comes.
func (c *call) importAccounts() (ImportView, error) {
	q := c.URL.Query()
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{}) // the admin endpoint's is 10 s; a recorder has none
	list := intake.JSONLines(c.Body)
	if q.Get("format") == "csv" {
		var err error
		if list, err = intake.CSV(c.Body); err != nil {
			return ImportView{}, fmt.Errorf("%w: %w", input.ErrInvalid, err)
		}
	}
	dry := q.Get("dry_run") == "true"
	r, err := c.m.Accounts.Import(c.Context(), list, dry)
	if err != nil {
		return ImportView{}, fmt.Errorf("%w; %d accounts were imported, run the import again for the others", err, r.Created)
	}
	v := ImportView{
		DryRun: dry, Lines: r.Lines, Created: r.Created, Unchanged: r.Unchanged, Failed: r.Failed, Members: r.Members, Keys: r.Keys,
		Plans: r.Plans, Balances: map[string]string{}, Unit: c.unit(), Problems: append([]account.ImportProblem{}, r.Problems...), More: r.More,
	}
	for kind, sum := range r.Balances {
		v.Balances[kind] = c.text(sum)
	}
	return v, nil
}

// upload is a handler that reads a body that is not JSON as it comes.
func upload[Out any](media string, fn func(*call) (Out, error)) handler {
	return handler{out: *new(Out), inMedia: media, run: func(c *call) (any, error) {
		v, err := fn(c)
		_, _ = io.CopyN(io.Discard, c.Body, 256<<10) // a client that still writes would not read the answer
		return v, err
	}}
}
