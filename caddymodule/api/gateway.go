package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/farebox-dev/farebox"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/health"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing/change"
	"github.com/farebox-dev/farebox/meter/standby"
	"github.com/farebox-dev/farebox/meter/writer"
)

// VerifyView is what a verification found.
type VerifyView struct {
	OK       bool          `json:"ok"`
	Accounts int           `json:"accounts"`
	Grants   int           `json:"grants"`
	Entries  int           `json:"entries"`
	Charges  int           `json:"charges"`
	Holds    int           `json:"open_holds"`
	Problems []string      `json:"problems"`
	Findings []FindingView `json:"findings"`
}

// FindingView is a broken account: how far its journal is sound, and what it had
// then, by the journal and by the stored state.
type FindingView struct {
	Account    string        `json:"account"`
	Problems   []string      `json:"problems"`
	SoundEntry uint64        `json:"sound_entry"`
	SoundAt    *time.Time    `json:"sound_at,omitempty"`
	Behind     int           `json:"entries_behind"`
	Journal    StandingView  `json:"journal"`
	State      *StandingView `json:"state,omitempty"`
}

// StandingView is what an account has.
type StandingView struct {
	Available string `json:"available"`
	Held      string `json:"held"`
	Spent     string `json:"spent"`
	Debt      string `json:"debt"`
}

func (c *call) verify() (VerifyView, error) {
	r, err := c.m.Verify(c.Context())
	if err != nil {
		return VerifyView{}, err
	}
	return c.verified(r), nil
}

func (c *call) verified(r *writer.Report) VerifyView {
	v := VerifyView{
		OK: r.Clean(), Accounts: r.Accounts, Grants: r.Grants, Entries: r.Entries, Charges: r.Charges, Holds: r.Holds,
		Problems: append([]string{}, r.Problems...), Findings: []FindingView{},
	}
	standing := func(s *writer.Balances) *StandingView {
		if s == nil {
			return nil
		}
		return &StandingView{Available: c.text(s.Available), Held: c.text(s.Held), Spent: c.text(s.Spent), Debt: c.text(s.Debt)}
	}
	for _, f := range r.Findings {
		v.Findings = append(v.Findings, FindingView{
			Account: string(f.Account), Problems: f.Problems, SoundEntry: f.Sound, SoundAt: timeOf(f.SoundAt), Behind: f.Behind,
			Journal: *standing(&f.Journal), State: standing(f.State),
		})
	}
	return v
}

// backup streams a copy of the whole ledger, as of one moment, while requests go on.
func (c *call) backup() error {
	c.w.Header().Set("Content-Type", "application/octet-stream")
	_ = c.m.Backup(c.Context(), c.w, farebox.Version()) // the answer has begun: a backup that is not whole has no end mark
	return nil
}

// UpkeepView is what a run of the upkeep did.
type UpkeepView struct {
	Before     *time.Time `json:"before,omitempty"` // of the retention; absent: everything stays
	Accounts   int        `json:"accounts"`         // of which something left
	Entries    int        `json:"entries"`          // that left
	Charges    int        `json:"charges"`          // that left
	File       string     `json:"file,omitempty"`   // the export of what left
	Problems   []string   `json:"problems,omitempty"`
	SizeBefore int64      `json:"size_before,omitempty"` // bytes on disk
	Size       int64      `json:"size,omitempty"`
}

// compact lets go what is older than the retention, and makes the store small.
func (c *call) compact() (UpkeepView, error) {
	d, err := c.m.Upkeep.Run(c.Context(), true)
	return UpkeepView{Before: timeOf(d.Before), Accounts: d.Accounts, Entries: d.Entries, Charges: d.Charges, File: d.File, Problems: d.Problems, SizeBefore: d.SizeBefore, Size: d.Size}, err
}

// sendWithin bounds how long a standby may take to read.
const sendWithin = 10 * time.Second

var errNoFeed = fmt.Errorf("%w: a ledger in a database is copied by the database's own replication", input.ErrInvalid)

// follow sends the ledger and every update of it to a standby, until that leaves.
func (c *call) follow() error {
	if c.m.Feed == nil {
		return errNoFeed
	}
	c.w.Header().Set("Content-Type", "application/octet-stream")
	rc := http.NewResponseController(c.w)
	flush := func() error { return errors.Join(rc.Flush(), rc.SetWriteDeadline(time.Now().Add(sendWithin))) }
	_ = standby.Send(c.Context(), c.w, flush, c.m.Feed) // the answer has begun: the standby sees that it ends
	return nil
}

// ClockView is the ledger's clock next to the system's.
type ClockView struct {
	OK     bool      `json:"ok"`     // the ledger's clock follows the system's
	Ledger time.Time `json:"ledger"` // by which credits renew and expire
	System time.Time `json:"system"`
	Says   string    `json:"says"`
	Do     string    `json:"do,omitempty"`
}

func (c *call) clock() (ClockView, error) {
	v := ClockView{Ledger: c.m.Now().UTC(), System: c.m.Clock().System()}
	for _, p := range c.m.Health.Report().Parts {
		if p.Name == "clock" {
			v.OK, v.Says, v.Do = p.Status == health.OK, p.Text, p.Do
		}
	}
	return v, nil
}

// confirmClock accepts a system's clock that is ahead; until then nothing expires or
// renews by it.
func (c *call) confirmClock() (HealthView, error) {
	if err := c.m.Clock().Confirm(); err != nil {
		return HealthView{}, err
	}
	return c.health()
}

// AdvanceView is what the clock of a demo shows.
type AdvanceView struct {
	Now time.Time `json:"now"`
}

// UpgradeView is what replaced a gateway.
type UpgradeView struct {
	Process      int   `json:"process"`          // that serves now
	LedgerClosed int64 `json:"ledger_closed_ms"` // for how long the ledger was open in neither process
}

// HealthView is how the gateway does.
type HealthView struct {
	OK      bool          `json:"ok"`    // no part needs an operator
	Ready   bool          `json:"ready"` // paid requests are served
	Version string        `json:"version"`
	Ledger  LedgerView    `json:"ledger"`
	Clock   string        `json:"clock"` // "ok", or what is wrong with it
	Prices  BookView      `json:"prices"`
	Now     time.Time     `json:"now"` // by the ledger's clock
	Parts   []health.Part `json:"parts"`
}

// LedgerView is which ledger it is.
type LedgerView struct {
	ID       string    `json:"id"`
	Created  time.Time `json:"created"`
	Accounts int64     `json:"accounts"`
}

// BookView is which price book is in force.
type BookView struct {
	Digest string    `json:"digest"`
	Since  time.Time `json:"since"`
}

func (c *call) health() (HealthView, error) { return healthOf(c.m), nil }

func healthOf(m *meter.Gateway) HealthView {
	b, since := m.Book()
	r, l := m.Health.Report(), m.Ledger()
	v := HealthView{
		OK: r.OK, Ready: r.Ready, Version: farebox.Version(), Ledger: LedgerView{l.ID, l.Created, l.Accounts},
		Clock: "ok", Prices: BookView{b.Digest, since.UTC()}, Now: m.Now().UTC(), Parts: r.Parts,
	}
	if err := m.Clock().Problem(); err != nil {
		v.Clock = err.Error()
	}
	return v
}

// ServeHealth answers a probe: 200 while paid requests are served, else 503. Without
// a meter, why says what is wrong.
func ServeHealth(w http.ResponseWriter, m *meter.Gateway, why error) {
	v := HealthView{Version: farebox.Version(), Parts: []health.Part{}}
	if m != nil {
		v = healthOf(m)
	} else {
		v.Parts = append(v.Parts, health.Part{Name: "ledger", Status: health.Failed, Text: why.Error(), Since: time.Now().UTC()})
	}
	answerProbe(w, v.Ready, v)
}

// ServeReady is ServeHealth for an address that anyone can reach: it does not say
// what is wrong.
func ServeReady(w http.ResponseWriter, m *meter.Gateway) {
	ready := m != nil && m.Health.Report().Ready
	answerProbe(w, ready, struct {
		Ready bool `json:"ready"`
	}{ready})
}

// ServeLive answers whether the process serves requests at all.
func ServeLive(w http.ResponseWriter) {
	answerProbe(w, true, struct {
		Live bool `json:"live"`
	}{true})
}

func answerProbe(w http.ResponseWriter, well bool, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !well {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// InstalledView is a time at which a price file came into force.
type InstalledView struct {
	Digest  string       `json:"digest"`
	At      *time.Time   `json:"at,omitempty"` // not of files before this was recorded
	By      string       `json:"by,omitempty"` // price file (it was changed on disk, or another configuration came), command line, or the id of an operator's key
	InForce bool         `json:"in_force"`
	Changes []ChangeView `json:"changes"` // to the one before
}

func (c *call) priceHistory() (List[InstalledView], error) {
	out := List[InstalledView]{Data: []InstalledView{}}
	most, err := limit(c.URL.Query(), 50, 200)
	if err != nil {
		return out, err
	}
	list, err := c.m.Books.History(c.Context(), most)
	current := c.bookNow().Digest
	for i, x := range list {
		v := InstalledView{Digest: x.Digest, At: timeOf(x.At), By: x.By, InForce: x.Digest == current && i == 0, Changes: []ChangeView{}}
		if x.Before != "" {
			old, oldErr := c.m.Books.Find(c.Context(), x.Before)
			is, isErr := c.m.Books.Find(c.Context(), x.Digest)
			if oldErr == nil && isErr == nil { // else it is of a version that read other files
				v.Changes = ChangesOf(change.Diff(old, is))
			}
		}
		out.Data = append(out.Data, v)
	}
	return out, err
}

func (c *call) pastPrices() (PriceFileView, error) {
	digest, text, err := c.m.Books.Text(c.Context(), c.PathValue("digest"))
	return PriceFileView{Digest: digest, File: "pricing.yaml", Text: string(text)}, err
}

func (c *call) restorePrices(in forceRequest) (BookView, error) {
	if c.api.PriceFile == nil {
		return BookView{}, invalid("no server is running, so there are no prices to restore")
	}
	_, text, err := c.m.Books.Text(c.Context(), c.PathValue("digest"))
	if err != nil {
		return BookView{}, err
	}
	if err := c.api.PriceFile.Replace(pricebook.By(c.Context(), c.who.by), text, in.Force); err != nil {
		return BookView{}, errors.Join(ErrPrices, err)
	}
	b, since := c.m.Book()
	return BookView{b.Digest, since.UTC()}, nil
}
