package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing/change"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// PlanView is a plan of the price file, and how many accounts are on it.
type PlanView struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	Price    string          `json:"price,omitempty"`
	Credits  []PlanCredits   `json:"credits"`
	Default  bool            `json:"default,omitempty"`
	Overage  bool            `json:"overage,omitempty"`
	Accounts int             `json:"accounts"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// PlanCredits is one line of a plan's credits.
type PlanCredits struct {
	Type   string `json:"type"`
	Amount string `json:"amount"`
	Every  string `json:"every,omitempty"`
}

// PackView is a pack of the price file.
type PackView struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Credits string   `json:"credits,omitempty"` // "" if the price decides
	Price   string   `json:"price"`
	Expires string   `json:"expires"` // never, or "90 days"
	Plans   []string `json:"only_plans,omitempty"`
}

// PlansView is what can be sold.
type PlansView struct {
	Plans []PlanView `json:"plans"`
	Packs []PackView `json:"packs"`
	Unit  string     `json:"unit"`
}

// listPlans are the plans and packs of the price file that is in force.
func (c *call) listPlans() (any, error) {
	on := map[string]int{}
	err := c.m.Accounts.Each(c.Context(), "", func(a *ledger.Account) bool {
		on[a.Sub.Plan]++
		return true
	})
	if err != nil {
		return nil, err
	}
	b, _ := c.m.Book()
	v := PlansView{Plans: []PlanView{}, Packs: []PackView{}, Unit: b.Credit.Plural}
	for _, p := range b.Plans {
		x := PlanView{
			ID: p.ID, Name: p.Name, Price: p.PriceText, Credits: []PlanCredits{}, Default: p == b.DefaultPlan, Overage: p.Overage != nil,
			Accounts: on[p.ID], Metadata: p.Metadata,
		}
		for _, g := range p.Grants {
			line := PlanCredits{Type: g.Type, Amount: c.text(g.Amount)}
			if g.Unlimited {
				line.Amount = "unlimited"
			}
			if g.Renewed {
				line.Every = g.Every.String()
			}
			x.Credits = append(x.Credits, line)
		}
		v.Plans = append(v.Plans, x)
	}
	for _, p := range b.Packs {
		x := PackView{ID: p.ID, Name: p.Name, Price: p.Price.String(), Expires: "never", Plans: p.OnlyPlans}
		if !p.ByPrice {
			x.Credits = c.text(p.Credits)
		} else if p.MaxPrice != nil {
			x.Price += " to " + p.MaxPrice.String()
		}
		if p.Expires != nil {
			x.Expires = p.Expires.String()
		}
		v.Packs = append(v.Packs, x)
	}
	return v, nil
}

// FileView is the price file as it is on disk, next to the one that is in force.
type FileView struct {
	CheckView
	Text   string `json:"text"`
	Loaded bool   `json:"loaded"` // it is the one in force
}

// priceFile checks the price file on disk.
func (c *call) priceFile() (any, error) {
	if c.file == "" {
		return nil, fmt.Errorf("%w: no server is running, so there is no file that it would read", input.ErrInvalid)
	}
	text, err := os.ReadFile(c.file)
	if errors.Is(err, os.ErrNotExist) {
		return FileView{CheckView: CheckView{File: filepath.Base(c.file), Summary: "the file is gone; the prices that were loaded before are in force", Problems: []CheckedProblem{}}}, nil
	}
	if err != nil {
		return nil, err
	}
	v, _ := checkPrices(filepath.Base(c.file), text)
	b, _ := c.m.Book()
	return FileView{CheckView: v, Text: string(text), Loaded: v.Digest == b.Digest}, nil
}

// diffPrices compares a price file with the one in force, and prices the
// charges of the last days again.
func (c *call) diffPrices() (any, error) {
	var in ReplayRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	b, _ := c.m.Book()
	other, problems := pricefile.Load("new.yaml", []byte(in.Text))
	if other == nil {
		return nil, fmt.Errorf("%w: the price file has errors:\n%s", input.ErrInvalid, problems)
	}
	v := DiffView{Changes: viewsOf(change.Diff(b, other))}
	if in.Days > 0 {
		r, err := c.replayed(&in)
		if err != nil {
			return nil, err
		}
		v.Replay = r
	}
	return v, nil
}
