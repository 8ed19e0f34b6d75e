package pricing

import (
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
)

// Facts are what a price can depend on in a request. Read copies what it
// needs: Body and Header may be reused after it.
type Facts struct {
	Method      string
	URI         string // as sent: the escaped path with its query
	Header      map[string][]string
	Body        []byte // decoded from its content encoding
	ContentType string // multipart forms are read from Body
	// PathModel is the model that the path names by the rules of its API, "" if it names none.
	PathModel   string
	Key, Member Attributes
	At          time.Time // when the request arrived
}

// Attributes are what a price file can read of an API key or a member.
type Attributes struct {
	ID   string
	More map[string]string // an "id" among them does not count
}

func (a *Attributes) value(name string) value {
	s, ok := a.More[name]
	if name == "id" {
		s, ok = a.ID, a.ID != ""
	}
	if !ok {
		return value{}
	}
	return value{Kind: textValue, Text: s}
}

// Request is a request that has been read: its operation, its model and all
// that its price depends on. It belongs to one goroutine.
type Request struct {
	Asked Asked

	book    *Book
	op      *Operation // nil: no operation, and free
	at      time.Time
	values  []value
	entry   *Model // of the model asked for
	priced  bool   // entry prices the request
	outside bool   // entry comes from unlisted_model

	quantities []quantity
	times      money.Decimal // quantity, 1 without one
	others     []otherModel
	reads      bool // the price, a plan or a grant looks at the model
	decided    bool // a condition on the model has decided something
	unseen     bool // it runs models that only its answer names

	held    Quote // of the last hold
	holding bool

	valueRoom    [20]value
	quantityRoom [4]quantity
	kindRoom     [10]Kind
}

// Asked is what a request asks for. Read fills it in by the price file; whoever
// knows the API of the request better may correct its limits, and says what else
// it asks for, before the request is priced.
type Asked struct {
	API         string            // of the operation: auto, openai, anthropic, gemini or other
	Path        string            // clean and decoded, in its original case
	Model       string            // its name; "" if none, or if neither the price nor a selector looks at it
	ServiceTier string            // if a price depends on it
	JSON        bool              // something was read in the body, as one JSON document
	Labels      map[string]string // the extra columns of reports; nil: none

	OutputLimit int64 // for the tokens of one answer, if Limited
	Limited     bool
	Answers     int64 // how many answers
	// Units are those that only the answer counts. Hold and Cost go by them; nil:
	// the tools of the request have not been looked at.
	Units []UnitAsk
	// Kinds of tokens that the input and the output may turn out to be. A hold
	// counts each side at the dearest of them.
	Kinds []Kind
}

// Route is what can be said of a request before its body is read.
type Route struct {
	NeedsBody bool     // some operation that could match reads the body or a form
	Free      bool     // certainly free, whatever the rest says
	Costs     bool     // certainly costs something, unless the plan has a discount of 100%
	Refusal   *Refusal // certainly refused; nil if not
}

// Route looks at method and URI alone, to spare reading bodies that nothing
// depends on.
func (b *Book) Route(method, uri string) Route {
	path, ok := CleanPath(uri)
	if !ok {
		return Route{Refusal: ambiguousPath()}
	}
	lower := strings.ToLower(path)
	var route Route
	free, costs, fitting := true, true, false
	for _, op := range b.Operations {
		if !op.fits(method, lower) {
			continue
		}
		fitting = true
		route.NeedsBody = route.NeedsBody || op.readsBody()
		free, costs = free && op.Free, costs && op.costs
		if op.Where == nil && op.EffectiveFrom.IsZero() {
			route.Free, route.Costs = free, costs
			return route
		}
	}
	if _, _, job := b.Jobs.find(method, path, lower); job || b.Policies.UnpricedFree {
		route.Free = free
		return route
	}
	if !fitting {
		route.Refusal = notPriced(method, path)
	}
	return route
}

func ambiguousPath() *Refusal {
	return refuse(400, AmbiguousRequest, "path", "the path is encoded in a way that servers read differently")
}

func notPriced(method, path string) *Refusal {
	return refuse(403, OperationNotPriced, "", "%s %s has no price here", method, path)
}

func (op *Operation) fits(method, lower string) bool {
	for i := range op.Match {
		if op.Match[i].fits(method, lower) {
			return true
		}
	}
	return false
}

// Read finds the operation and the model of a request and all quantities that
// its price depends on. The error is a *Refusal.
func (b *Book) Read(f *Facts) (*Request, error) {
	path, ok := CleanPath(f.URI)
	if !ok {
		return nil, ambiguousPath()
	}
	lower := strings.ToLower(path)
	r := &Request{book: b, Asked: Asked{API: "auto", Path: path, Answers: 1}, at: f.At, times: one}
	r.Asked.Kinds = r.kindRoom[:0]
	if n := len(b.Fields.request); n <= len(r.valueRoom) {
		r.values = r.valueRoom[:n]
	} else {
		r.values = make([]value, n)
	}
	for _, op := range b.Operations {
		if !op.fits(f.Method, lower) || !op.EffectiveFrom.IsZero() && f.At.Before(op.EffectiveFrom) {
			continue
		}
		take := intake{r: r, f: f, op: op}
		take.collect()
		if op.Where != nil {
			ok, refusal := take.where(lower)
			if refusal != nil {
				return nil, refusal
			}
			if !ok {
				clear(r.values)
				r.Asked.Model, r.entry, r.Asked.ServiceTier, r.quantities = "", nil, "", nil
				continue
			}
		}
		r.op, r.Asked.API, r.Asked.Labels = op, op.API, take.labels()
		if refusal := take.request(lower); refusal != nil {
			return nil, refusal
		}
		return r, nil
	}
	if _, _, job := b.Jobs.find(f.Method, path, lower); job || b.Policies.UnpricedFree {
		return r, nil
	}
	return nil, notPriced(f.Method, path)
}

var one = money.FromInt(1)

// where decides the conditions of the operation. What needs no body is looked
// at first, so that a body only matters where it could decide.
func (in *intake) where(lower string) (bool, *Refusal) {
	r, op := in.r, in.op
	c := circumstances{request: r.values, at: r.at}
	for _, f := range op.whereReads {
		if !f.inBody() && r.values[f.slot].Ambiguous {
			return false, ambiguousField(f)
		}
	}
	bodied := false
	for i := range op.Where.All {
		k := &op.Where.All[i]
		if k.On == OnField && !k.Field.inBody() || k.On == OnHours || k.On == OnDays {
			if k.decide(op.Where, &c) == fails {
				return false, nil
			}
		} else {
			bodied = true
		}
	}
	if bodied {
		if refusal := in.strictForm(op.whereReads); refusal != nil {
			return false, refusal
		}
		if refusal := in.unambiguous(op.whereReads); refusal != nil {
			return false, refusal
		}
		r.op = op // for the names without a prefix
		defer func() { r.op = nil }()
		if refusal := in.names(lower); refusal != nil {
			return false, refusal
		}
		c.model, c.tier, c.quantities = r.Asked.Model, r.Asked.ServiceTier, r.quantities
	}
	verdict, bad := op.Where.hold(&c)
	if verdict == wrong {
		return false, notANumber(bad)
	}
	return verdict == holds, nil
}

func notANumber(k *Condition) *Refusal {
	name := k.Unit
	if k.Field != nil {
		name = k.Field.Text
	}
	return refuse(400, QuantityInvalid, name, "%s must be a number", name)
}

// names reads what conditions of a where name without a prefix.
func (in *intake) names(lower string) *Refusal {
	for i := range in.op.Where.All {
		switch in.op.Where.All[i].On {
		case OnModel:
			in.r.decided = true
			if refusal := in.askedModel(lower, false); refusal != nil {
				return refusal
			}
		case OnServiceTier:
			if refusal := in.serviceTier(); refusal != nil {
				return refusal
			}
		case OnUnit:
			if m := in.op.Measured(in.op.Where.All[i].Unit); m != nil {
				q, refusal := in.quantity(m)
				if refusal != nil {
					return refusal
				}
				in.r.quantities = append(in.r.quantities, quantity{m, q})
			}
		case OnField, OnHours, OnDays, OnInputTokens, OnOutputTokens:
		}
	}
	return nil
}

// request reads all but the where of the operation that was taken.
func (in *intake) request(lower string) *Refusal {
	r, op := in.r, in.op
	if op.Free {
		return in.askedModel(lower, false)
	}
	reads := op.reads
	if op.ModelFrom != nil {
		reads = append(reads[:len(reads):len(reads)], op.ModelFrom)
	}
	if refusal := in.strictForm(reads); refusal != nil {
		return refusal
	}
	if refusal := in.unambiguous(op.reads); refusal != nil {
		return refusal
	}
	if refusal := in.askedModel(lower, op.Price.ByModel); refusal != nil {
		return refusal
	}
	if refusal := in.entry(lower); refusal != nil {
		return refusal
	}
	if op.usesTier || r.entry != nil && r.priced && r.entry.usesTier {
		if refusal := in.serviceTier(); refusal != nil {
			return refusal
		}
	} else if v := &r.values[r.book.Fields.index["body.service_tier"].slot]; !v.Ambiguous {
		r.Asked.ServiceTier = textOf(v) // the model of the answer may look at it
	}
	if refusal := in.allQuantities(); refusal != nil {
		return refusal
	}
	if r.TokenPriced() {
		return in.outputLimits(lower)
	}
	return nil
}
