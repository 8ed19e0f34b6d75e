package pricing

import (
	"encoding/json"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Book is a price file that has been loaded. It never changes and is safe for
// concurrent use. All exported fields are for reading only.
type Book struct {
	File        string
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

	digest         string
	markedUp       money.Decimal // 1 + Markup
	lines          []string
	fields         *fields
	answerTree     *jsonPath
	exact          map[string]*Model
	patterns       []*Model // longest first
	plans          map[string]*Plan
	packs          map[string]*Pack
	operations     map[string]*Operation
	jobs           []*Operation
	modelReads     []*field // that the adjusts of any model read
	selectsModels  bool     // some selector looks at models or their tags
	responseFields responseFields
}

// responseFields are read in every answer that is JSON.
type responseFields struct{ model, tier, usageTier *field }

// Digest is the SHA-256 of the file's text, in hex.
func (b *Book) Digest() string { return b.digest }

// Plan is the plan with this id, or nil.
func (b *Book) Plan(id string) *Plan { return b.plans[id] }

// Pack is the pack with this id, or nil.
func (b *Book) Pack(id string) *Pack { return b.packs[id] }

// Operation is the operation with this id, or nil.
func (b *Book) Operation(id string) *Operation { return b.operations[id] }

// Model is the entry with exactly this key, or nil.
func (b *Book) Model(key string) *Model { return b.exactKey(key) }

// Credit says what one credit is.
type Credit struct {
	Name, Plural string
	Decimals     int    // the smallest step is 10^-Decimals
	Worth        *Money // nil if the file does not say
}

// Money is an amount with its currency.
type Money struct {
	Amount   money.Decimal
	Currency string // three capital letters
}

// String is "5 USD".
func (m Money) String() string { return m.Amount.String() + " " + m.Currency }

// Money is what an amount of credits is worth, exactly; false if the file does
// not say what a credit is worth. A negative amount counts by its magnitude.
func (b *Book) Money(a money.Amount) (Money, bool) {
	if b.Credit.Worth == nil {
		return Money{}, false
	}
	return Money{a.Decimal(b.Credit.Decimals).Mul(b.Credit.Worth.Amount), b.Credit.Worth.Currency}, true
}

// Operation is a kind of request that has a price.
type Operation struct {
	ID, Name, Feature string // Name is the ID if the file gives none
	Tags              []string
	API               string // auto, openai, anthropic, gemini or other
	FreeTier          *FreeTier
	Job               *Job
	Line, Column      int

	book          *Book
	index         int
	patterns      []pattern
	where         *conditions
	from          time.Time // effective_from
	modelFrom     *field    // nil: the API's own place
	noModel       bool      // model: none
	measures      []*measured
	quantity      *measured
	price         price
	adjusts       []adjust
	adjustToModel bool // an adjust says price: by_model
	free          bool // price: free and nothing that could change it

	// What Read takes from a request, compiled once.
	plain      []*field // header, query, path, key, member
	forms      []*field
	bodyTree   *jsonPath
	whereReads []*field
	reads      []*field // of measure, quantity, adjust and model, which must not be ambiguous
	usesTier   bool
	usesModel  bool // a condition on model
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
	id     *field
	status pattern // with {id} as "*"
	text   string  // the path with {id}, in small letters
	failed *conditions
}

// measured is how much a request asks for: of a unit, or of results.
type measured struct {
	unit          string // "" for quantity
	field         *field
	fallback      rate // default
	min, max      rate
	reserve       rate
	text          bool // a JSON string may hold the number
	whole         bool // a count
	line, column  int
	tooFewMessage string
}

// quantity is what a request asks for of one unit.
type quantity struct {
	measure *measured
	value   money.Decimal
}

// Model is an entry under models.
type Model struct {
	Key, Name       string // Name is the Key if the file gives none
	Tags            []string
	MaxOutputTokens int64 // 0: not given
	Line, Column    int

	table    table
	adjusts  []adjust
	reads    []*field // of its adjusts, in the request
	usesTier bool
	from     time.Time
	literal  int // characters of a pattern other than "*"
	order    int
	pattern  bool
}

// Plan is what accounts subscribe to.
type Plan struct {
	ID, Name       string
	Price          *Money // nil: none or custom
	Custom         bool   // price: custom
	PriceText      string // as written
	BillingPeriod  calendar.Unit
	Grants         []*Grant
	Allow, Deny    *selector.Selector // nil: none
	Discount       money.Decimal      // 0.05 for "5%"
	DiscountText   string
	Overage        *Overage // nil: when_empty is block
	Lasts          *calendar.Duration
	RenewsWhenPaid bool
	Proration      string // "none", the only way there is
	Caps           []Cap
	Metadata       json.RawMessage // nil: none
	Line, Column   int

	keep rate // 1 - Discount
}

// Rollover says what a renewed grant keeps at a renewal.
type Rollover uint8

// The ways of a rollover.
const (
	RolloverNone  Rollover = iota // an instance ends when the next starts
	RolloverAll                   // it never ends
	RolloverLimit                 // at most Grant.RolloverLimit is kept
)

// Expiry says when credits that are not renewed end.
type Expiry uint8

// The ways of an expiry.
const (
	ExpiresNever Expiry = iota
	ExpiresWithPlan
	ExpiresAfter // a duration
)

// Grant is one entry of a plan's credits.
type Grant struct {
	Type            string
	Amount          money.Amount
	Unlimited       bool
	Renewed         bool          // has every
	Every           calendar.Unit // if Renewed
	Rollover        Rollover
	RolloverLimit   money.Amount
	Expires         Expiry
	ExpiresAfter    calendar.Duration
	OnlyFor, NotFor *selector.Selector
}

// Overage is how a plan goes on when its credits are used up.
type Overage struct {
	Limited bool
	Limit   money.Amount
	Times   money.Decimal // default 1
}

// Cap limits what an account, a member or a key spends in a period.
type Cap struct {
	Per    string // account, member or key
	Amount money.Amount
	Every  calendar.Unit
}

// Pack is credits that can be bought.
type Pack struct {
	ID, Name        string
	ByPrice         bool         // credits: by_price
	Credits         money.Amount // unless ByPrice
	Price           Money        // the only price, or the least
	MaxPrice        *Money       // nil: no range
	Expires         *calendar.Duration
	Type            string
	OnlyPlans       []string // empty: any
	OnlyFor, NotFor *selector.Selector
	Line, Column    int

	book *Book
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
	field *field
}

// Policies are the exceptions.
type Policies struct {
	UnpricedFree        bool
	UnlistedModel       string // key of a model; "" rejects
	RefundOn            RefundOn
	Timezone            *time.Location
	TimezoneName        string
	ReserveOutputTokens int64
	Overdraft           money.Amount
	HoldCeiling         bool // hold: ceiling; else progressive
	ExhaustedOverdraft  bool // when_exhausted: overdraft; else stop
	ClampOutput         bool
	RequestUsage        bool
	Abandoned           Abandoned

	refundWhen *conditions
	unlisted   *Model
}

// RefundOn lists the failures after which everything is refunded.
type RefundOn struct{ Status4xx, Status5xx, Timeout, Connect, ClientAbort bool }

// Abandoned says what becomes of a hold whose process was killed.
type Abandoned uint8

// The ways of a hold that nobody settles.
const (
	CaptureObserved Abandoned = iota // charge what was seen of the answer
	CaptureHold                      // charge what was held
	Release                          // charge nothing
)

// Links are where users go.
type Links struct{ TopUp, Upgrade, Prices, Support string }

// Amount is what the pack grants for a price; the price is only needed, and
// only looked at, for credits: by_price.
func (p *Pack) Amount(price *Money) (money.Amount, error) {
	if !p.ByPrice {
		return p.Credits, nil
	}
	worth := p.book.Credit.Worth
	if price == nil {
		return 0, ErrPriceNeeded
	}
	if price.Currency != worth.Currency {
		return 0, ErrCurrency
	}
	return money.Div(price.Amount, worth.Amount, p.book.Credit.Decimals)
}

// SellsTo reports whether an account on this plan ("" for none) may buy p.
func (p *Pack) SellsTo(plan string) bool {
	if len(p.OnlyPlans) == 0 {
		return true
	}
	for _, id := range p.OnlyPlans {
		if id == plan {
			return true
		}
	}
	return false
}
