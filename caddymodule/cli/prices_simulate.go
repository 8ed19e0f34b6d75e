package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// SimulatedMonth is a row of a simulation: what the accounts of one entry did in
// a month. Amounts are decimal strings in credits.
type SimulatedMonth struct {
	Account  string `json:"account"`
	Accounts int    `json:"accounts"`
	Month    string `json:"month"`
	Requests int    `json:"requests"`
	Refused  int    `json:"refused_402"`
	Other    int    `json:"refused_otherwise"`
	Packs    int    `json:"packs_bought"`
	Credits  string `json:"credits"`
	Overage  string `json:"overage"`
	Unused   string `json:"unused"` // ended without being spent

	credits, overage, unused money.Amount
}

func (c *cli) simulateCommand() *cobra.Command {
	return command("simulate SCENARIO", "Play a scenario: accounts × requests × days → credits, 402s, overage, month by month", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		s, err := readScenario(args[0])
		if err != nil {
			return &exit{exitInvalid, err}
		}
		book, err := s.book(c.prices)
		if err != nil {
			return err
		}
		rows, reasons, err := s.play(cmd.Context(), book)
		if err != nil {
			return &exit{exitInvalid, err}
		}
		return c.show(rows, func(w *tabwriter.Writer) {
			fmt.Fprintln(w, "ACCOUNT\tMONTH\tREQUESTS\tCREDITS\t402\tOVERAGE\tPACKS\tUNUSED")
			for _, r := range rows {
				fmt.Fprintf(w, "%s ×%d\t%s\t%d\t%s\t%d\t%s\t%d\t%s\n", r.Account, r.Accounts, r.Month, r.Requests, r.Credits, r.Refused, r.Overage, r.Packs, r.Unused)
			}
			for _, r := range reasons {
				fmt.Fprintln(w, r)
			}
		})
	})
}

// play runs every account through the meter that the gateway runs: only the
// clock and the store are not the real ones.
func (s *scenario) play(ctx context.Context, book *pricing.Book) (rows []*SimulatedMonth, reasons []string, err error) {
	for i := range s.Accounts {
		p := &player{scenario: s, account: &s.Accounts[i], book: book, months: map[string]*SimulatedMonth{}, reasons: map[string]int{}}
		if err := p.run(ctx); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p.account.Name, err)
		}
		rows = append(rows, p.rows()...)
		for reason, n := range p.reasons {
			reasons = append(reasons, fmt.Sprintf("%s: %s refused, %s", p.account.Name, api.Plural(n, "request"), reason))
		}
	}
	sort.Strings(reasons)
	return rows, reasons, nil
}

// player plays one account.
type player struct {
	*scenario
	account *scenarioAccount
	book    *pricing.Book
	m       *meter.Gateway
	now     atomic.Int64 // nanoseconds
	problem atomic.Pointer[error]
	months  map[string]*SimulatedMonth
	reasons map[string]int // of refusals other than 402
	packs   int
}

func (p *player) clock() time.Time { return time.Unix(0, p.now.Load()).UTC() }

func (p *player) run(ctx context.Context) (err error) {
	p.now.Store(p.start.UnixNano())
	p.m, err = meter.Open(ctx, meter.Options{
		Store: memory.New(), Book: p.book, Now: p.clock, Problem: func(err error) { p.problem.Store(&err) },
	})
	if err != nil {
		return err
	}
	defer p.m.Close()
	if _, err := p.m.Accounts.Create(ctx, p.account.Name, "", p.account.Plan); err != nil {
		return err
	}
	for day := range p.Days {
		if err := p.day(ctx, p.start.AddDate(0, 0, day)); err != nil {
			return err
		}
	}
	p.now.Store(p.start.AddDate(0, 0, p.Days).UnixNano())
	if problem := p.problem.Load(); problem != nil {
		return *problem
	}
	return p.tally(ctx)
}

// day makes the requests of a day, each kind spread evenly over it.
func (p *player) day(ctx context.Context, day time.Time) error {
	type event struct {
		at time.Time
		r  *scenarioRequest
	}
	var events []event
	for i := range p.account.Requests {
		r := &p.account.Requests[i]
		if !r.on[day.Weekday()] {
			continue
		}
		every := 24 * time.Hour / time.Duration(r.PerDay)
		for n := range r.PerDay {
			events = append(events, event{day.Add(every/2 + time.Duration(n)*every), r})
		}
	}
	sort.SliceStable(events, func(i, j int) bool { return events[i].at.Before(events[j].at) })
	for _, e := range events {
		p.now.Store(e.at.UnixNano())
		if err := p.request(ctx, e.r); err != nil {
			return err
		}
	}
	return nil
}

// request makes one request; one that gets 402 is made again after a top-up.
func (p *player) request(ctx context.Context, r *scenarioRequest) error {
	month := p.month(p.clock())
	month.Requests++
	reason, poor, err := p.once(ctx, r)
	if err == nil && poor && p.account.TopUp != "" {
		if err := p.buy(ctx); err != nil {
			return err
		}
		month.Packs++
		reason, _, err = p.once(ctx, r)
	}
	switch {
	case err != nil || reason == "":
		return err
	case reason == ledger.InsufficientCredits || reason == ledger.InFlightHolds:
		month.Refused++
	default:
		month.Other++
		p.reasons[r.Request+": "+reason]++
	}
	return nil
}

// once makes a request one time. poor: it was refused for want of credits, which
// a top-up changes; a cap is another reason for a 402, and none that money changes.
func (p *player) once(ctx context.Context, r *scenarioRequest) (reason string, poor bool, err error) {
	header := http.Header{"Content-Type": {"application/json"}}
	for name, value := range r.Headers {
		header.Set(name, value)
	}
	charge, err := p.m.Admit(ctx, &meter.Request{
		Method: r.method, URI: r.path, Header: header, Body: r.body, ContentType: "application/json", Caller: meter.Caller{Account: p.account.Name},
	})
	var refusal *meter.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason, refusal.Facts != nil && refusal.Facts.LimitSource == ledger.LimitBalance, nil
	}
	if err != nil {
		return "", false, err
	}
	charge.Begin(r.Status, http.Header{"Content-Type": {"application/json"}})
	if _, err := charge.Observe(ctx, r.answer); err != nil && !errors.Is(err, meter.ErrExhausted) {
		return "", false, err
	}
	charge.End()
	charge.Settle(ctx, meter.Answered, nil)
	_, err = p.m.Accounts.Do(ctx, p.account.Name, ledger.Touch{}) // the settle is booked before the clock goes on
	return "", false, err
}

func (p *player) buy(ctx context.Context) error {
	p.packs++
	g := account.GrantRequest{Pack: p.account.TopUp, Reason: "simulated", Idempotency: fmt.Sprintf("pack-%d", p.packs)}
	if pack := p.book.Pack(g.Pack); pack != nil && pack.ByPrice {
		g.Price = pack.Price.String()
	}
	if _, err := p.m.Accounts.Grant(ctx, p.account.Name, g); err != nil {
		return fmt.Errorf("top_up: %w", err)
	}
	return nil
}

func (p *player) month(at time.Time) *SimulatedMonth {
	key := at.Format("2006-01")
	if p.months[key] == nil {
		p.months[key] = &SimulatedMonth{Account: p.account.Name, Accounts: p.account.Count, Month: key}
	}
	return p.months[key]
}

// tally reads from the journal what the months cost.
func (p *player) tally(ctx context.Context) error {
	end := p.clock()
	return p.m.Reports.Journal(ctx, p.account.Name, 0, func(e *ledger.Entry) bool {
		if !e.At.Before(end) {
			return true
		}
		row := p.month(e.At.UTC())
		for _, x := range e.Postings {
			switch x.Book {
			case ledger.BookSpent:
				row.credits += x.Amount
			case ledger.BookOverage:
				row.overage -= x.Amount
			case ledger.BookExpired:
				row.unused += x.Amount
			case ledger.BookIssued, ledger.BookAvailable, ledger.BookHeld, ledger.BookRevoked, ledger.BookDebt, ledger.BookAbsorbed:
			}
		}
		return true
	})
}

// rows are the months in order, for all accounts that the entry counts.
func (p *player) rows() (rows []*SimulatedMonth) {
	n := p.account.Count
	for _, r := range p.months {
		text := func(a money.Amount) string {
			return a.Decimal(p.book.Credit.Decimals).Mul(money.FromInt(uint64(n))).String() //nolint:gosec // at least 1
		}
		r.Requests, r.Refused, r.Other, r.Packs = r.Requests*n, r.Refused*n, r.Other*n, r.Packs*n
		r.Credits, r.Overage, r.Unused = text(max(0, r.credits)), text(max(0, r.overage)), text(r.unused)
		rows = append(rows, r)
	}
	sort.Slice(rows, func(i, j int) bool { return strings.Compare(rows[i].Month, rows[j].Month) < 0 })
	return rows
}
