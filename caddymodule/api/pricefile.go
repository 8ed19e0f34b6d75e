package api

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/change"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/usage"
)

// FileView is the price file as it is on disk, next to the one that is in force.
type FileView struct {
	CheckView
	Text   string `json:"text"`
	Loaded bool   `json:"loaded"` // it is the one in force
}

// priceFile checks the price file on disk.
func (c *call) priceFile() (FileView, error) {
	if c.api.PriceFile == nil {
		return FileView{}, fmt.Errorf("%w: no server is running, so there is no file that it would read", input.ErrInvalid)
	}
	text, err := os.ReadFile(c.api.PriceFile.Path())
	if errors.Is(err, os.ErrNotExist) {
		return FileView{CheckView: CheckView{File: filepath.Base(c.api.PriceFile.Path()), Summary: "the file is gone; the prices that were loaded before are in force", Problems: []CheckedProblem{}}}, nil
	}
	if err != nil {
		return FileView{}, err
	}
	v, _ := CheckPrices(filepath.Base(c.api.PriceFile.Path()), text)
	b, _ := c.m.Book()
	return FileView{CheckView: v, Text: string(text), Loaded: v.Digest == b.Digest}, nil
}

// diffPrices compares a price file with the one in force, and prices the
// charges of the last days again.
func (c *call) diffPrices(in ReplayRequest) (DiffView, error) {
	b, _ := c.m.Book()
	other, problems := pricefile.Load("new.yaml", []byte(in.Text))
	if other == nil {
		return DiffView{}, fmt.Errorf("%w: the price file has errors:\n%s", input.ErrInvalid, problems)
	}
	v := DiffView{Changes: ChangesOf(change.Diff(b, other))}
	if in.Days > 0 {
		r, err := c.replayed(&in)
		if err != nil {
			return DiffView{}, err
		}
		v.Replay = &r
	}
	return v, nil
}

// CheckView is what a check of a price file found.
type CheckView struct {
	OK       bool             `json:"ok"`
	File     string           `json:"file"`
	Digest   string           `json:"digest,omitempty"`
	Summary  string           `json:"summary"`
	Problems []CheckedProblem `json:"problems"`
	Caught   []CaughtRow      `json:"caught,omitempty"` // by a running server: models of the last 30 days without an entry of their own
}

// CheckedProblem is one problem of a price file.
type CheckedProblem struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Warning bool   `json:"warning,omitempty"`
	Excerpt string `json:"excerpt,omitempty"`
}

// CheckPrices checks the text of a price file.
func CheckPrices(file string, text []byte) (CheckView, pricefile.Problems) {
	book, problems := pricefile.Load(file, text)
	v := CheckView{OK: book != nil, File: file, Problems: []CheckedProblem{}}
	for _, p := range problems {
		v.Problems = append(v.Problems, CheckedProblem{Line: p.Line, Column: p.Column, Path: p.Path, Message: p.Message, Warning: p.Warning, Excerpt: p.Excerpt})
	}
	if book == nil {
		v.Summary = problems.Summary()
		return v, problems
	}
	v.Digest = book.Digest
	v.Summary = strings.Join([]string{
		Plural(len(book.Operations), "operation"), Plural(len(book.Models), "model"), Plural(len(book.Plans), "plan"), Plural(len(book.Packs), "pack"),
	}, ", ")
	return v, problems
}

func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

type textRequest struct {
	Text string `json:"text"`
}

func (c *call) checkPrices(in textRequest) (CheckView, error) {
	v, _ := CheckPrices("pricing.yaml", []byte(in.Text))
	if !v.OK {
		return v, nil
	}
	book, _ := pricefile.Load("pricing.yaml", []byte(in.Text))
	var err error
	v.Caught, err = c.caught(book)
	return v, err
}

// ExplainRequest asks what a request would hold.
type ExplainRequest struct {
	Method string              `json:"method"`
	Path   string              `json:"path"`
	Header map[string][]string `json:"header,omitempty"`
	Body   string              `json:"body,omitempty"`
	Plan   string              `json:"plan,omitempty"`
}

// Facts are the request as the price file sees it.
func (in *ExplainRequest) Facts(now time.Time) *pricing.Facts {
	return &pricing.Facts{
		Method: in.Method, URI: in.Path, Header: in.Header, Body: []byte(in.Body), ContentType: "application/json", At: now,
	}
}

func (c *call) explainPrices(in ExplainRequest) (map[string]string, error) {
	b, _ := c.m.Book()
	e, err := meter.Explain(b, in.Facts(c.m.Now()), in.Plan)
	if err != nil {
		return map[string]string{}, err
	}
	return map[string]string{"text": e.String(), "hold": e.Quote.Amount.Text(b.Credit.Decimals)}, nil
}

// PriceFileView is the price file that is in force.
type PriceFileView struct {
	Digest string `json:"digest"`
	File   string `json:"file"`
	Text   string `json:"text"`
}

func (c *call) showPrices() (PriceFileView, error) {
	b, _ := c.m.Book()
	return PriceFileView{Digest: b.Digest, File: b.File, Text: b.Text}, nil
}

// ChangeView is a difference between two price files.
type ChangeView struct {
	Kind    string `json:"kind"` // added, changed, removed; of an import also missing
	Section string `json:"section"`
	ID      string `json:"id,omitempty"`
	What    string `json:"what,omitempty"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	Percent string `json:"percent,omitempty"`
}

// ChangesOf shows changes.
func ChangesOf(changes []change.Change) []ChangeView {
	views := []ChangeView{}
	for _, ch := range changes {
		v := ChangeView{Kind: "changed", Section: ch.Section, ID: ch.ID, What: ch.What, Old: ch.Old, New: ch.New, Percent: ch.Percent()}
		switch {
		case ch.Old == "":
			v.Kind = "added"
		case ch.New == "":
			v.Kind = "removed"
		}
		views = append(views, v)
	}
	return views
}

// DiffView is what prices diff prints.
type DiffView struct {
	Changes []ChangeView `json:"changes"`
	Replay  *ReplayView  `json:"replay,omitempty"`
}

type forceRequest struct {
	Force bool `json:"force,omitempty"`
}

func (c *call) reloadPrices(in forceRequest) (BookView, error) {
	if c.api.PriceFile == nil {
		return BookView{}, fmt.Errorf("%w: no server is running, so there are no prices to reload", input.ErrInvalid)
	}
	if err := c.api.PriceFile.Reload(pricebook.By(c.Context(), c.who.by), in.Force); err != nil {
		return BookView{}, errors.Join(ErrPrices, err)
	}
	b, since := c.m.Book()
	return BookView{b.Digest, since.UTC()}, nil
}

// UnpricedView is what the price file does not name.
type UnpricedView struct {
	// Requests without a price since the server began, most frequent first: passed
	// for nothing, or refused.
	Requests []UnpricedRow `json:"requests"`
	More     int64         `json:"more,omitempty"` // requests of kinds beyond those that are kept
	// Caught are the models of the last 30 days that were priced by an entry with a
	// "*", or by policies.unlisted_model.
	Caught []CaughtRow `json:"caught"`
}

// UnpricedRow is one kind of request without a price.
type UnpricedRow struct {
	Reason string    `json:"reason"` // operation_not_priced, model_not_priced, free
	Method string    `json:"method"`
	Path   string    `json:"path"` // ids as *
	Model  string    `json:"model,omitempty"`
	Count  int64     `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

// CaughtRow is a model without an entry of its own.
type CaughtRow struct {
	Entry    string `json:"entry"`
	Unlisted bool   `json:"unlisted,omitempty"` // by policies.unlisted_model
	Model    string `json:"model"`
	Requests int64  `json:"requests"`
	Credits  string `json:"credits"`

	amount money.Amount
}

// CaughtDays is how far back the models are looked for.
const CaughtDays = 30

func (c *call) unpriced() (UnpricedView, error) {
	v := UnpricedView{Requests: []UnpricedRow{}}
	list, more := c.m.Unpriced.List()
	for _, u := range list {
		v.Requests = append(v.Requests, UnpricedRow(u))
	}
	v.More = more
	b, _ := c.m.Book()
	var err error
	v.Caught, err = c.caught(b)
	return v, err
}

// caught are the models that were asked for lately and that a price file only
// prices by a pattern, or as an unlisted model.
func (c *call) caught(b *pricing.Book) ([]CaughtRow, error) {
	now := c.m.Now()
	rows := []CaughtRow{}
	q := usage.Query{From: now.AddDate(0, 0, -CaughtDays), To: now.Add(usage.Slot), By: "model"}
	err := c.m.Reports.UsageOfAll(c.Context(), q, func(_ string, r *usage.Report) {
		for _, l := range r.Lines() {
			if row, ok := caughtBy(b, l.Group, now); ok {
				i := slices.IndexFunc(rows, func(x CaughtRow) bool { return x.Model == row.Model })
				if i < 0 {
					i = len(rows)
					rows = append(rows, row)
				}
				rows[i].Requests += l.Requests
				rows[i].amount += l.Net()
			}
		}
	})
	for i := range rows {
		rows[i].Credits = c.text(rows[i].amount)
	}
	slices.SortFunc(rows, func(a, b CaughtRow) int { return strings.Compare(a.Entry+"\x00"+a.Model, b.Entry+"\x00"+b.Model) })
	return rows, err
}

func caughtBy(b *pricing.Book, model string, now time.Time) (row CaughtRow, ok bool) {
	if model == "" || b.Model(model) != nil {
		return row, false
	}
	row = CaughtRow{Model: model, Entry: b.Policies.UnlistedModel, Unlisted: true}
	if m := b.ModelFor(model, now); m != nil {
		row.Entry, row.Unlisted = m.Key, false
	}
	return row, row.Unlisted && row.Entry != "" || strings.Contains(row.Entry, "*")
}
