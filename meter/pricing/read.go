package pricing

import (
	"errors"
	"math"
	"math/bits"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// Facts are what a price can depend on in a request. Read copies what it
// needs: Body and Header may be reused after it.
type Facts struct {
	Method      string
	URI         string // as sent: the escaped path with its query
	Header      map[string][]string
	Body        []byte // decoded from its content encoding
	ContentType string // multipart forms are read from Body
	Key, Member map[string]string
	At          time.Time // when the request arrived
}

// Request is a request that has been read: its operation, its model and all
// that its price depends on. It belongs to one goroutine.
type Request struct {
	book    *Book
	op      *Operation // nil: no operation, and free
	path    string
	at      time.Time
	values  []value
	model   string // asked for
	entry   *Model // of the model asked for
	priced  bool   // entry prices the request
	outside bool   // entry comes from unlisted_model
	tier    string

	quantities []quantity
	times      money.Decimal // quantity, 1 without one
	limit      int64         // the request's own output limit
	limited    bool
	answers    int64 // body.n

	held    Quote // of the last hold
	holding bool

	valueRoom    [20]value
	quantityRoom [4]quantity
}

// Route is what can be said of a request before its body is read.
type Route struct {
	NeedsBody bool     // some operation that could match reads the body or a form
	Free      bool     // certainly free, whatever the rest says
	Refusal   *Refusal // certainly refused; nil if not
}

// Route looks at method and URI alone, to spare reading bodies that nothing
// depends on.
func (b *Book) Route(method, uri string) Route {
	path, ok := cleanPath(uri)
	if !ok {
		return Route{Refusal: ambiguousPath()}
	}
	lower := strings.ToLower(path)
	var route Route
	free := true
	for _, op := range b.Operations {
		if !op.fits(method, lower) {
			continue
		}
		route.NeedsBody = route.NeedsBody || op.bodyTree != nil || len(op.forms) > 0
		free = free && op.free
		if op.where == nil && op.from.IsZero() {
			route.Free = free
			return route
		}
	}
	if _, _, job := b.jobFor(method, path, lower); job || b.Policies.UnpricedFree {
		route.Free = free
		return route
	}
	if !route.NeedsBody && b.noneFits(method, lower) {
		route.Refusal = notPriced(method, path)
	}
	return route
}

func (b *Book) noneFits(method, lower string) bool {
	for _, op := range b.Operations {
		if op.fits(method, lower) {
			return false
		}
	}
	return true
}

func ambiguousPath() *Refusal {
	return refuse(400, AmbiguousRequest, "path", "the path is encoded in a way that servers read differently")
}

func notPriced(method, path string) *Refusal {
	return refuse(403, OperationNotPriced, "", "%s %s has no price here", method, path)
}

func (op *Operation) fits(method, lower string) bool {
	for i := range op.patterns {
		if op.patterns[i].fits(method, lower) {
			return true
		}
	}
	return false
}

// Read finds the operation and the model of a request and all quantities that
// its price depends on. The error is a *Refusal.
func (b *Book) Read(f *Facts) (*Request, error) {
	path, ok := cleanPath(f.URI)
	if !ok {
		return nil, ambiguousPath()
	}
	lower := strings.ToLower(path)
	r := &Request{book: b, path: path, at: f.At, answers: 1, times: one}
	if n := len(b.fields.request); n <= len(r.valueRoom) {
		r.values = r.valueRoom[:n]
	} else {
		r.values = make([]value, n)
	}
	for _, op := range b.Operations {
		if !op.fits(f.Method, lower) || !op.from.IsZero() && f.At.Before(op.from) {
			continue
		}
		take := intake{r: r, f: f, op: op}
		take.collect()
		if op.where != nil {
			ok, refusal := take.where(lower)
			if refusal != nil {
				return nil, refusal
			}
			if !ok {
				clear(r.values)
				continue
			}
		}
		r.op = op
		if refusal := take.request(lower); refusal != nil {
			return nil, refusal
		}
		return r, nil
	}
	if _, _, job := b.jobFor(f.Method, path, lower); job || b.Policies.UnpricedFree {
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
		if f.from != fromBody && r.values[f.slot].ambiguous {
			return false, ambiguousField(f)
		}
	}
	bodied := false
	for i := range op.where.all {
		k := &op.where.all[i]
		if k.on == onField && k.field.from != fromBody || k.on == onHours || k.on == onDays {
			if k.decide(op.where, &c) == fails {
				return false, nil
			}
		} else {
			bodied = true
		}
	}
	if bodied {
		if refusal := in.unambiguous(op.whereReads); refusal != nil {
			return false, refusal
		}
		r.op = op // for the names without a prefix
		defer func() { r.op = nil }()
		if refusal := in.names(lower); refusal != nil {
			return false, refusal
		}
		c.model, c.tier, c.quantities = r.model, r.tier, r.quantities
	}
	verdict, bad := op.where.hold(&c)
	if verdict == wrong {
		return false, notANumber(bad)
	}
	return verdict == holds, nil
}

func notANumber(k *condition) *Refusal {
	name := k.unit
	if k.field != nil {
		name = k.field.text
	}
	return refuse(400, QuantityInvalid, name, "%s must be a number", name)
}

// names reads what conditions of a where name without a prefix.
func (in *intake) names(lower string) *Refusal {
	for i := range in.op.where.all {
		switch in.op.where.all[i].on {
		case onModel:
			if refusal := in.askedModel(lower, false); refusal != nil {
				return refusal
			}
		case onServiceTier:
			if refusal := in.serviceTier(); refusal != nil {
				return refusal
			}
		case onUnit:
			if m := in.op.measured(in.op.where.all[i].unit); m != nil {
				q, refusal := in.quantity(m)
				if refusal != nil {
					return refusal
				}
				in.r.quantities = append(in.r.quantities, quantity{m, q})
			}
		case onField, onHours, onDays, onInputTokens, onOutputTokens:
		}
	}
	return nil
}

// request reads all but the where of the operation that was taken.
func (in *intake) request(lower string) *Refusal {
	r, op := in.r, in.op
	if op.free {
		return in.askedModel(lower, false)
	}
	if refusal := in.unambiguous(op.reads); refusal != nil {
		return refusal
	}
	if refusal := in.askedModel(lower, op.price.byModel); refusal != nil {
		return refusal
	}
	if refusal := in.entry(lower); refusal != nil {
		return refusal
	}
	if op.usesTier || r.entry != nil && r.priced && r.entry.usesTier {
		if refusal := in.serviceTier(); refusal != nil {
			return refusal
		}
	}
	if refusal := in.allQuantities(); refusal != nil {
		return refusal
	}
	if r.TokenPriced() {
		return in.outputLimits(lower)
	}
	return nil
}

// askedModel reads the name of the model. Where the price does not need it, it
// is still read if plans or grants look at models.
func (in *intake) askedModel(lower string, needed bool) *Refusal {
	r, op := in.r, in.op
	if op.noModel || op.modelFrom != nil && op.modelFrom.answer() {
		return nil
	}
	if !needed && !op.usesModel && !op.adjustToModel && !in.r.book.selectsModels {
		return nil
	}
	name, refusal := in.modelName(lower, needed || op.usesModel)
	if refusal != nil {
		return refusal
	}
	if name == "" && needed {
		return refuse(400, MissingModel, in.modelField(), "the request names no model")
	}
	r.model = name
	if name == "" || needed {
		return nil
	}
	r.entry = r.book.lookup(name, r.at)
	return nil
}

func (in *intake) modelField() string {
	if in.op.modelFrom != nil {
		return in.op.modelFrom.text
	}
	return "body.model"
}

func (in *intake) modelName(lower string, needed bool) (string, *Refusal) {
	f := in.op.modelFrom
	if f == nil {
		if in.op.API == "gemini" || in.op.API == "auto" {
			if name, ok := modelInPath(in.r.path); ok {
				return name, nil
			}
		}
		f = in.r.book.modelField(in.form)
	}
	if f.from == fromBody && in.bodyBad {
		if !needed || in.form && in.op.modelFrom == nil {
			return "", nil
		}
		return "", notJSON(f)
	}
	v := &in.r.values[f.slot]
	if v.ambiguous {
		return "", ambiguousField(f)
	}
	if v.kind != textValue {
		return "", nil
	}
	return v.text, nil
}

func (b *Book) modelField(form bool) *field {
	if form {
		return b.fields.index["form.model"]
	}
	return b.fields.index["body.model"]
}

// entry finds the price of the model that was asked for.
func (in *intake) entry(lower string) *Refusal {
	r, op, b := in.r, in.op, in.r.book
	if op.modelFrom != nil && op.modelFrom.answer() {
		if op.price.byModel {
			return in.unambiguous(b.modelReads)
		}
		return nil
	}
	if !op.price.byModel {
		if op.adjustToModel && r.entry != nil && r.entry.prices(op, lower) {
			r.priced = true
			return in.unambiguous(r.entry.reads)
		}
		return nil
	}
	r.entry = b.lookup(r.model, r.at)
	if r.entry == nil {
		r.entry, r.outside = b.Policies.unlisted, true
	}
	if r.entry == nil || !r.entry.prices(op, lower) {
		return refuse(403, ModelNotPriced, in.modelField(), "the model %q has no price for %s", shorten(r.model), op.Name)
	}
	r.priced = true
	return in.unambiguous(r.entry.reads)
}

func shorten(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

func (in *intake) serviceTier() *Refusal {
	f := in.r.book.fields.index["body.service_tier"]
	if in.bodyBad {
		if in.form {
			return nil
		}
		return notJSON(f)
	}
	v := &in.r.values[f.slot]
	if v.ambiguous {
		return ambiguousField(f)
	}
	if v.kind == textValue {
		in.r.tier = v.text
	}
	return nil
}

func (in *intake) allQuantities() *Refusal {
	r, op := in.r, in.op
	r.quantities = r.quantityRoom[:0]
	for _, m := range op.measures {
		q, refusal := in.quantity(m)
		if refusal != nil {
			return refusal
		}
		r.quantities = append(r.quantities, quantity{m, q})
	}
	if op.quantity != nil {
		q, refusal := in.quantity(op.quantity)
		if refusal != nil {
			return refusal
		}
		r.times = q
	}
	return nil
}

// tooLarge is where numbers stop to be quantities.
var tooLarge = money.FromInt(1_000_000_000_000_000)

// quantity reads one measured value. What only the answer knows is reserved.
func (in *intake) quantity(m *measured) (money.Decimal, *Refusal) {
	if m.field.answer() {
		return m.reserved(), nil
	}
	v := &in.r.values[m.field.slot]
	if v.ambiguous {
		return money.Decimal{}, ambiguousField(m.field)
	}
	name := m.field.text
	if v.kind == absent {
		if !m.fallback.set {
			return money.Decimal{}, refuse(400, QuantityInvalid, name, "%s is missing", name)
		}
		return m.fallback.value, nil
	}
	n, bad := number(v, m.field.json(), m.text)
	switch {
	case bad == QuantityTooLarge:
		return n, refuse(400, QuantityTooLarge, name, "%s is too large", name)
	case bad != "":
		return n, refuse(400, QuantityInvalid, name, "%s must be a number that is not negative", name)
	case m.whole && !n.IsInt():
		return n, refuse(400, QuantityInvalid, name, "%s must be a whole number", name)
	case m.max.set && n.Cmp(m.max.value) > 0:
		return n, refuse(400, QuantityTooLarge, name, "%s is more than %s", name, m.max.value)
	case m.min.set && n.Cmp(m.min.value) < 0:
		return n, refuse(400, QuantityInvalid, name, "%s is less than %s", name, m.min.value)
	}
	return n, nil
}

// reserved is what is held of a quantity that only the answer knows.
func (m *measured) reserved() money.Decimal {
	switch {
	case m.reserve.set:
		return m.reserve.value
	case m.fallback.set:
		return m.fallback.value
	}
	return m.max.value
}

// number is a quantity's number, or the reason why it is none.
func number(v *value, json, text bool) (money.Decimal, string) {
	switch {
	case v.kind == numberValue:
		n, err := jsonNumber(v.text)
		switch {
		case errors.Is(err, money.ErrOverflow) && !strings.Contains(v.text, "-"):
			return n, QuantityTooLarge
		case err != nil:
			return n, QuantityInvalid
		case n.Cmp(tooLarge) >= 0:
			return n, QuantityTooLarge
		}
		return n, ""
	case v.kind == textValue && (!json || text):
		n, ok := plainNumber(v.text)
		switch {
		case !ok:
			return n, QuantityInvalid
		case n.Cmp(tooLarge) >= 0:
			return n, QuantityTooLarge
		}
		return n, ""
	}
	return money.Decimal{}, QuantityInvalid
}

var limitFields = []string{"body.max_tokens", "body.max_completion_tokens", "body.max_output_tokens"}

const (
	geminiLimit  = "body.generationConfig.maxOutputTokens"
	answersField = "body.n"
)

// outputLimits reads how long the answer may be and how many there are.
func (in *intake) outputLimits(lower string) *Refusal {
	r := in.r
	if in.form {
		return nil
	}
	if in.bodyBad {
		return notJSON(r.book.fields.index[limitFields[0]])
	}
	names := limitFields
	if _, gemini := modelInPath(lower); gemini || r.op.API == "gemini" {
		names = append(names[:len(names):len(names)], geminiLimit)
	}
	for _, name := range names {
		n, given, refusal := in.count(name)
		if refusal != nil {
			return refusal
		}
		if given {
			r.limit, r.limited = max(r.limit, n), true
		}
	}
	if !strings.HasSuffix(lower, "/completions") {
		return nil
	}
	n, given, refusal := in.count(answersField)
	if given {
		r.answers = n
	}
	return refusal
}

// count reads a whole number that may be absent.
func (in *intake) count(name string) (n int64, given bool, refusal *Refusal) {
	f := in.r.book.fields.index[name]
	v := &in.r.values[f.slot]
	switch {
	case v.ambiguous:
		return 0, false, ambiguousField(f)
	case v.kind == absent:
		return 0, false, nil
	}
	d, bad := number(v, true, false)
	if bad == QuantityTooLarge {
		return 0, false, refuse(400, bad, name, "%s is too large", name)
	}
	n, whole := d.Int64()
	if bad != "" || !whole {
		return 0, false, refuse(400, QuantityInvalid, name, "%s must be a whole number that is not negative", name)
	}
	return n, true, nil
}

// Operation is the operation of the request, nil if it has none and is free.
func (r *Request) Operation() *Operation { return r.op }

// ModelAsked is the model as the request names it; "" if it names none, or if
// neither its price nor any selector looks at it.
func (r *Request) ModelAsked() string { return r.model }

// Model is the entry that prices the request before its answer is known, nil
// if none does.
func (r *Request) Model() *Model {
	if !r.priced {
		return nil
	}
	return r.entry
}

// ModelKey is the key of Model, "" if there is none.
func (r *Request) ModelKey() string {
	if m := r.Model(); m != nil {
		return m.Key
	}
	return ""
}

// API is the api of the operation: auto, openai, anthropic, gemini or other.
func (r *Request) API() string {
	if r.op == nil {
		return "auto"
	}
	return r.op.API
}

// Path is the clean path, decoded, in its original case.
func (r *Request) Path() string { return r.path }

// ServiceTier is the service tier that was asked for, if a price depends on it.
func (r *Request) ServiceTier() string { return r.tier }

// Free reports whether the request costs nothing whatever it uses.
func (r *Request) Free() bool { return r.op == nil || r.op.free }

// Subject is what selectors look at.
func (r *Request) Subject() selector.Subject {
	if r.op == nil {
		return selector.Subject{}
	}
	s := selector.Subject{Operation: r.op.ID, Feature: r.op.Feature, Tags: r.op.Tags}
	if r.entry != nil && len(r.entry.Tags) > 0 {
		s.Tags = append(s.Tags[:len(s.Tags):len(s.Tags)], r.entry.Tags...)
	}
	if r.model != "" {
		s.Models = []string{r.model}
		if r.entry != nil && r.entry.Key != r.model {
			s.Models = append(s.Models, r.entry.Key)
		}
	}
	return s
}

// PlanAllows is nil if the plan's allow and deny let the request pass.
// Requests without an operation, and callers without a plan, always pass.
func (r *Request) PlanAllows(p *Plan) *Refusal {
	if r.op == nil || p == nil || p.Allow == nil && p.Deny == nil {
		return nil
	}
	s := r.Subject()
	if p.includes(&s) {
		return nil
	}
	var others []string
	for _, other := range r.book.Plans {
		if other.includes(&s) {
			others = append(others, other.ID)
		}
	}
	return planRefusal(p, others)
}

func (p *Plan) includes(s *selector.Subject) bool {
	return (p.Allow == nil || p.Allow.Selects(s)) && !p.Deny.Selects(s)
}

// Labels are the extra report columns of the request; nil if it has none.
func (r *Request) Labels() map[string]string {
	var labels map[string]string
	for i := range r.book.Labels {
		l := &r.book.Labels[i]
		if v := &r.values[l.field.slot]; r.op != nil && v.kind != absent && v.kind != otherValue {
			if labels == nil {
				labels = make(map[string]string, len(r.book.Labels))
			}
			labels[l.Name] = v.text
		}
	}
	return labels
}

// TokenPriced reports whether the price depends on tokens.
func (r *Request) TokenPriced() bool {
	switch {
	case r.op == nil || r.op.free:
		return false
	case r.op.price.table.hasTokens():
		return true
	case r.priced && r.entry.tokenPriced():
		return true
	case r.op.modelFrom != nil && r.op.modelFrom.answer() && r.op.price.byModel:
		return true
	}
	return anyTokens(r.op.adjusts)
}

func (m *Model) tokenPriced() bool { return m.table.hasTokens() || anyTokens(m.adjusts) }

func anyTokens(list []adjust) bool {
	for i := range list {
		if list[i].rates != nil && list[i].rates.hasTokens() {
			return true
		}
	}
	return false
}

// OutputLimit is the request's own limit for the tokens of one answer.
func (r *Request) OutputLimit() (limit int64, given bool) { return r.limit, r.limited }

// Answers is how many answers are asked for: body.n where the API has it.
func (r *Request) Answers() int64 { return r.answers }

// OutputBound is how many output tokens of one answer are held.
func (r *Request) OutputBound() int64 { return r.outputBound(r.Model()) }

func (r *Request) outputBound(m *Model) int64 {
	p := &r.book.Policies
	bound := p.ReserveOutputTokens
	switch {
	case p.HoldCeiling && r.limited:
		bound = r.limit
	case p.HoldCeiling && m != nil && m.MaxOutputTokens > 0:
		bound = m.MaxOutputTokens
	case r.limited:
		bound = min(bound, r.limit)
	}
	if m != nil && m.MaxOutputTokens > 0 {
		bound = min(bound, m.MaxOutputTokens)
	}
	return bound
}

// product is a × b for counts, as large as can be instead of overflowing.
func product(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(max(a, 0)), uint64(max(b, 0)))
	if hi != 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}
