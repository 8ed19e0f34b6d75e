package caddymodule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

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

func checkPrices(file string, text []byte) (CheckView, pricefile.Problems) {
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
		plural(len(book.Operations), "operation"), plural(len(book.Models), "model"), plural(len(book.Plans), "plan"), plural(len(book.Packs), "pack"),
	}, ", ")
	return v, problems
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (c *call) checkPrices() (any, error) {
	var in struct{ Text string }
	if err := c.body(&in); err != nil {
		return nil, err
	}
	v, _ := checkPrices("pricing.yaml", []byte(in.Text))
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

func (in *ExplainRequest) facts(now time.Time) *pricing.Facts {
	return &pricing.Facts{
		Method: in.Method, URI: in.Path, Header: in.Header, Body: []byte(in.Body), ContentType: "application/json", At: now,
	}
}

func (c *call) explainPrices() (any, error) {
	var in ExplainRequest
	if err := c.body(&in); err != nil {
		return nil, err
	}
	b, _ := c.m.Book()
	e, err := meter.Explain(b, in.facts(c.m.Now()), in.Plan)
	if err != nil {
		return nil, err
	}
	return map[string]string{"text": e.String(), "hold": e.Quote.Amount.Text(b.Credit.Decimals)}, nil
}

// loadForCommand reads a price file for a command; the error is what is wrong with it.
func loadForCommand(file string, text []byte) (*pricing.Book, error) {
	book, problems := pricefile.Load(file, text)
	if book == nil {
		return nil, fmt.Errorf("%w:\n%s", api.ErrPrices, problems)
	}
	return book, nil
}

var errNoServer = errors.New("no server answers")
