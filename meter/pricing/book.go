// Package pricing prices requests by a price book, which package pricefile reads:
// which operation a request is, what it holds before it is sent and what
// it costs once its answer is known.
//
//	book, problems := pricefile.Load("pricing.yaml", text)
//	request, err := book.Read(&facts)             // *Refusal if it may not pass
//	hold, err := request.Estimate(usage, plan, free).Hold()
//	cost, err := request.Cost(&answer, plan, free)
//
// The package is pure: no I/O, no clock, no goroutines. It gets facts about a
// request, never the request itself, and knows neither balances nor the ways
// in which APIs report usage. Numbers are exact decimals from the text of the
// file to the one rounding at the end.
package pricing

import (
	"time"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// Book is a price file that has been loaded. It never changes and is safe for
// concurrent use. All exported fields are for reading only.
type Book struct {
	File        string // its name
	Text        string // as loaded
	Digest      string // SHA-256 of the file, in hex
	Credit      Credit
	Markup      money.Decimal // 0.2 for "20%"
	Operations  []*Operation  // in the order of the file: the first that matches wins
	Models      []*Model      // in the order of the file
	Plans       []*Plan       // in the order of the file
	DefaultPlan *Plan         // nil if there is none
	Packs       []*Pack       // in the order of the file
	DrawOrder   []string      // types of grants; empty: by expiry alone
	Alerts      []Alert
	Labels      []Label // in the order of the file
	Policies    Policies
	Links       Links
	Fields      *Fields // that anything in the file reads
	Jobs        Jobs
	// LimitsConcurrency: some plan has max_concurrent.
	LimitsConcurrency bool

	markedUp       money.Decimal // 1 + Markup
	answerTree     *jsonscan.Paths
	readsAnswer    bool // a price, measure or condition reads a field of the answer
	exact          map[string]*Model
	patterns       []*Model // longest first
	plans          map[string]*Plan
	packs          map[string]*Pack
	operations     map[string]*Operation
	modelReads     []*Field // that the adjusts of any model read
	selectsModels  bool     // some selector looks at models or their tags
	unitsByModel   bool     // some model has a rate for a unit
	responseFields responseFields
}

// responseFields are read in every answer that is JSON.
type responseFields struct{ model, tier, usageTier *Field }

// Plan is the plan with this id, or nil.
func (b *Book) Plan(id string) *Plan { return b.plans[id] }

// Pack is the pack with this id, or nil.
func (b *Book) Pack(id string) *Pack { return b.packs[id] }

// Operation is the operation with this id, or nil.
func (b *Book) Operation(id string) *Operation { return b.operations[id] }

// Model is the entry with exactly this key, or nil.
func (b *Book) Model(key string) *Model { return b.exact[key] }

// BoundsInput reports whether requests on a plan (nil: none) hold for as many
// input tokens as their text has bytes, which no tokenizer exceeds.
func (b *Book) BoundsInput(p *Plan) bool {
	if p != nil && p.EstimateBytes != nil {
		return *p.EstimateBytes
	}
	return b.Policies.EstimateBytes
}

// Credit says what one credit is.
type Credit struct {
	Name, Plural string
	Decimals     int    // the smallest step is 10^-Decimals
	Worth        *Money // nil if the file does not say
}

// Of is an amount with its unit, as a person writes it: "1 credit", "2.5 credits".
func (c *Credit) Of(a money.Amount) string { return a.Text(c.Decimals) + " " + c.UnitFor(a) }

// UnitFor is the name of the unit for an amount: singular for exactly one credit.
func (c *Credit) UnitFor(a money.Amount) string {
	if a.Decimal(c.Decimals).Cmp(one) == 0 {
		return c.Name
	}
	return c.Plural
}

// Money is what an amount of credits is worth, exactly; false if the file does
// not say what a credit is worth. A negative amount counts by its magnitude.
func (c *Credit) Money(a money.Amount) (Money, bool) {
	if c.Worth == nil {
		return Money{}, false
	}
	return Money{a.Decimal(c.Decimals).Mul(c.Worth.Amount), c.Worth.Currency}, true
}

// Money is an amount with its currency.
type Money struct {
	Amount   money.Decimal
	Currency string // three capital letters
}

// String is "5 USD".
func (m Money) String() string { return m.Amount.String() + " " + m.Currency }

// Operation is a kind of request that has a price.
type Operation struct {
	ID, Name, Feature string // Name is the ID if the file gives none
	Tags              []string
	API               string // auto, openai, anthropic, gemini or other
	FreeTier          *FreeTier
	Job               *Job
	Line, Column      int

	book          *Book
	Match         []Pattern
	Where         *Conditions
	EffectiveFrom time.Time // effective_from
	ModelFrom     *Field    // nil: the API's own place
	NoModel       bool      // model: none
	Measures      []*Measure
	Quantity      *Measure
	Price         Price
	Adjust        []Adjustment
	adjustToModel bool // an adjust says price: by_model
	Free          bool // price: free and nothing that could change it

	// What Read takes from a request, compiled once.
	plain      []*Field // header, query, path, key, member
	forms      []*Field
	bodyTree   *jsonscan.Paths
	whereReads []*Field
	reads      []*Field // of measure, quantity, adjust and model, which must not be ambiguous
	usesTier   bool
	usesModel  bool // a condition on model
	costs      bool // every request costs something
	candidates []*Model
}

// FreeTier is what an account may use of an operation per period for nothing.
type FreeTier struct {
	Unit  string // "request" or a unit of measure
	Count money.Decimal
	Every calendar.Unit
}

// Job describes an operation whose result comes later.
type Job struct {
	// MaxAge is how long its end is waited for; then it is charged what was held, or LostRefund.
	MaxAge     calendar.Duration
	LostRefund bool

	ID         *Field  // where the answer has the id of the job
	Status     Pattern // with {id} where the id is
	FailedWhen *Conditions
	DoneWhen   *Conditions // nil: the usual words, see dialect
	Webhook    *Pattern    // that the upstream calls when a job is over; nil: none
	WebhookID  *Field      // in the body of that call

	status Pattern // with "*" for {id}
}

// measured is how much a request asks for: of a unit, or of results.
type Measure struct {
	Unit         string // "" for quantity
	Field        *Field
	Default      Rate // default
	Min, Max     Rate
	Reserve      Rate
	Text         bool // a JSON string may hold the number
	Whole        bool // a count
	Line, Column int
}

// quantity is what a request asks for of one unit.
type quantity struct {
	measure *Measure
	value   money.Decimal
}

// Model is an entry under models.
type Model struct {
	Key, Name       string // Name is the Key if the file gives none
	Tags            []string
	MaxOutputTokens int64 // 0: not given
	MaxInputTokens  int64 // 0: not given
	Line, Column    int

	Table         Table
	Reserve       Reserve
	Adjust        []Adjustment
	reads         []*Field // of its adjusts, in the request
	usesTier      bool
	EffectiveFrom time.Time
	IsPattern     bool
}

// Alert is one rule of when to warn; exactly one field is set.
type Alert struct {
	Below         *Threshold
	RunsOutWithin *calendar.Duration
	OverageAbove  *money.Amount
}

// Threshold is a share of the period's allowance, or an amount.
type Threshold struct {
	Percent bool
	Share   money.Decimal // 0.2 for "20%"
	Amount  money.Amount  // unless Percent
	Text    string        // as written
}

// Label is an extra column of reports.
type Label struct {
	Name  string
	Field *Field
}

// Policies are the exceptions.
type Policies struct {
	UnpricedFree        bool
	UnlistedModel       string // key of a model; "" rejects
	RefundOn            RefundOn
	Timezone            *time.Location
	TimezoneName        string
	ReserveOutputTokens int64
	ReserveInputTokens  int64 // for input that a request only refers to
	Overdraft           money.Amount
	HoldCeiling         bool // hold: ceiling; else progressive
	EstimateBytes       bool // estimate: bytes; else scan
	ExhaustedOverdraft  bool // when_exhausted: overdraft; else stop
	ClampOutput         bool
	RequestUsage        bool
	Abandoned           Abandoned

	Reserve    Reserve
	RefundWhen *Conditions
	unlisted   *Model
}

// RefundOn lists the failures after which everything is refunded.
type RefundOn struct{ Status4xx, Status5xx, Timeout, Connect, ClientAbort bool }

// Abandoned says what becomes of a hold whose process was killed.
type Abandoned uint8

// What becomes of a hold that is never settled.
const (
	CaptureObserved Abandoned = iota // charge what was seen of the answer
	CaptureHold                      // charge what was held
	Release                          // charge nothing
)

// Links are where users go.
type Links struct{ TopUp, Upgrade, Prices, Support string }
