package meter

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/form"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/ulid"
)

// Caller is who asks. Account is required.
type Caller struct {
	Account string
	Member  string
	Key     string // id of the API key, never the key itself
	// Attributes for key.<attr> and member.<attr> in the price file; "id" is there by itself.
	KeyAttributes, MemberAttributes map[string]string
	// Trusted: whoever named the account may also bring it to life.
	Trusted bool
}

// Request is what Admit has to know of a request.
type Request struct {
	Method      string
	URI         string // as sent: the escaped path with its query
	Header      map[string][]string
	Body        []byte // decoded
	ContentType string
	Caller      Caller
	// Idempotency is the client's Idempotency-Key, "" if none.
	Idempotency string
	// Origin is kept with a job that the request starts, for whoever asks how it
	// stands; see Meter.DueJobs.
	Origin []byte
	// UnknownIDs are the kinds (dialect.StoredKinds, or the operation of a job) of
	// which ids pass that no account is known to have got; "*" are all. Empty: those
	// in bodies and queries pass, those in paths don't.
	UnknownIDs []string
}

// admission is one request on its way to a charge.
type admission struct {
	m     *Meter
	req   *Request
	book  *loaded
	plan  *pricing.Plan
	price *pricing.Request
	api   *dialect.API // of the endpoint: how errors look, what may be edited
	reads *dialect.API // how the answer is read
	body  dialect.Body
	info  dialect.RequestInfo
	scan  dialect.InputEstimate // what the dialect says of the input
	est   pricing.Usage         // the same as tokens, by what the model has made of such input before
	bound int64                 // output tokens of one answer that are held
	clamp int64                 // written into the request; 0: not
	left  money.Amount          // units of the free tier that were left for it
	began time.Time
}

// Route is a first look at a request, before its body is read.
func (m *Meter) Route(method, uri string) pricing.Route {
	route := m.Books.InForce().Route(method, uri)
	if path, ok := pricing.CleanPath(uri); ok && refersInBody(method, path) {
		route.NeedsBody = true
	}
	if r := route.Refusal; r != nil && r.Reason == pricing.OperationNotPriced { // Admit will not see it
		m.noteUnpriced(r.Reason, &Request{Method: method, URI: uri}, "")
	}
	return route
}

// Refused is why a request that its Route refuses is refused. A job of another
// account is not there, whether or not there is a price for asking, and neither
// is anything under an odd spelling of its path; a route that no account may use says
// so to all.
func (m *Meter) Refused(ctx context.Context, req *Request, why *pricing.Refusal) error {
	book := m.Books.InForce().Book
	list, err := refs(book, req)
	jobs := slices.ContainsFunc(list, func(r ref) bool { return r.job })
	if why.Reason == pricing.AmbiguousRequest || jobs || err != nil {
		if err := m.mayUse(ctx, book, req); err != nil {
			return denialOf(err)
		}
	}
	return denialOf(why)
}

// Admit prices a request and holds its credits; the hold is durable when it
// returns. The error is a *Denial.
func (m *Meter) Admit(ctx context.Context, req *Request) (*Charge, error) {
	a := &admission{m: m, req: req, book: m.Books.InForce()}
	if err := m.mayUse(ctx, a.book.Book, req); err != nil {
		return nil, denialOf(err)
	}
	if err := a.read(); err != nil {
		a.refusedUnpriced(err)
		return nil, denialOf(err)
	}
	plan, err := m.planOf(ctx, req.Caller)
	for range 3 { // a plan that changes meanwhile makes another price
		if err != nil {
			return nil, denialOf(err)
		}
		var c *Charge
		c, err = a.withPlan(ctx, plan)
		var other *ledger.OtherPlan
		if !errors.As(err, &other) {
			return c, denialOf(err)
		}
		plan, err = other.Plan, nil
	}
	return nil, &Denial{Reason: Unavailable, Message: "The account's plan changes faster than requests can be priced."}
}

// planOf is the plan to price with; Reserve checks it. An account that a
// trusted caller names for the first time is opened.
func (m *Meter) planOf(ctx context.Context, c Caller) (string, error) {
	id := ledger.AccountID(c.Account)
	if plan, ok := m.writer.Plan(id); ok {
		return plan, nil
	}
	_, err := m.writer.Do(ctx, id, ledger.Touch{})
	if errors.Is(err, ledger.ErrNoAccount) && c.Trusted {
		if err = directory.ValidID(c.Account); err == nil {
			if _, err = m.writer.Do(ctx, id, ledger.Open{ID: id}); errors.Is(err, ledger.ErrAccountExists) {
				err = nil
			}
		}
	}
	plan, _ := m.writer.Plan(id)
	return plan, err
}

// read finds operation, model, quantities and dialect.
func (a *admission) read() error {
	if a.began.IsZero() {
		a.began = a.m.opt.Now()
	}
	var err error
	path, _ := pricing.CleanPath(a.req.URI)
	a.price, err = a.book.Read(&pricing.Facts{
		PathModel: dialect.Recognise(a.req.Method, path, "").PathModel,
		Method:    a.req.Method, URI: a.req.URI, Header: a.req.Header, Body: a.req.Body, ContentType: a.req.ContentType,
		Key: attributes(a.req.Caller.Key, a.req.Caller.KeyAttributes), Member: attributes(a.req.Caller.Member, a.req.Caller.MemberAttributes), At: a.began,
	})
	if err != nil {
		return err
	}
	a.api = dialect.Recognise(a.req.Method, a.price.Path(), hintOf(a.price.API()))
	a.reads, a.body = a.api, dialect.ReadBody(a.req.ContentType, a.req.Body)
	if !a.price.JSON() && refersInBody(a.req.Method, path) && !a.body.Readable() { // what it names could not be looked at
		return unreadable()
	}
	if a.price.ReadsModels() {
		if err := a.mayRun(); err != nil {
			return err
		}
	}
	if a.price.Free() {
		return nil
	}
	if field := a.api.DropsUsage(a.req.URI, a.req.Header); field != "" {
		return &Denial{Reason: pricing.AmbiguousRequest, Field: field, Message: `The answer would leave out what it used, and could not be charged; leave out "` + field + `".`}
	}
	if (a.price.NeedsAsks() || a.price.TokenPriced()) && !a.price.JSON() && !a.body.Readable() {
		return unreadable()
	}
	if !a.api.Plain() {
		if a.info = a.api.ReadRequest(a.body); a.info.Reject != "" {
			return rejection(a.info)
		}
	}
	if a.price.NeedsAsks() {
		a.price.Asks(asked(a.api, a.body))
	}
	if !a.price.TokenPriced() { // a condition may still ask how long the input is
		a.estimateInput(!a.api.Plain() && a.body.Kind == form.JSON)
		return nil
	}
	if a.api.Plain() { // priced by tokens behind a path of its own: most speak like chat completions
		a.reads = dialect.Recognise("POST", "/v1/chat/completions", "")
	}
	if a.api.Plain() {
		if a.info = a.api.ReadRequest(a.body); a.info.Reject != "" {
			return rejection(a.info)
		}
	}
	if !a.api.Plain() {
		a.price.Limits(a.info.MaxOutput.N, a.info.MaxOutput.OK, a.info.N)
	}
	a.estimateInput(true)
	a.kinds()
	return nil
}

// unreadable refuses a body that some servers could read.
func unreadable() error {
	return &Denial{Reason: pricing.BodyNotJSON, Field: "body", Message: "The body is neither one JSON document in UTF-8 nor a form under its own Content-Type; send one of them."}
}

// mayRun tells the price of all the models that the request may run.
func (a *admission) mayRun() error {
	runs := a.api.Runs(a.body)
	if runs.Reject != "" {
		return &Denial{Reason: runs.Reject, Field: "body." + runs.Field, Message: runs.Message}
	}
	if r := a.price.MayRun(pricing.Runs{Models: runs.Models, Chooser: runs.Chooser, Unseen: a.api.Elsewhere()}); r != nil {
		return r
	}
	return nil
}

func (a *admission) estimateInput(worthIt bool) {
	switch {
	case a.m.estimate != nil:
		a.est = a.m.estimate(a.req)
	case worthIt:
		a.scan = a.reads.EstimateInput(a.body)
		a.est.Tokens[pricing.Input] = a.m.calibration.tokens(a.price.ModelAsked(), a.scan)
	}
}

// ahead is the input to hold for: the estimate, or, where the price file trusts
// none, its bound. What is charged without a report goes by the estimate alone.
func (a *admission) ahead() pricing.Usage {
	u := a.est
	if a.scan.Bytes > 0 && a.book.BoundsInput(a.plan) {
		u.Tokens[pricing.Input] = max(u.Tokens[pricing.Input], a.scan.Bound())
	}
	if a.scan.Hidden {
		u.Tokens[pricing.Input] = max(u.Tokens[pricing.Input]+a.book.Policies.ReserveInputTokens, a.price.Model().InputBound())
	}
	return u
}

// asked are the units that a request asks for, as the price file counts them.
func asked(api *dialect.API, body dialect.Body) []pricing.Asked {
	asks := api.Asks(body)
	list := make([]pricing.Asked, 0, len(asks))
	for _, a := range asks {
		shift := 0
		if a.Milli {
			shift = -3
		}
		n := func(n int64) money.Decimal { return money.FromInt(uint64(max(n, 0))).Shift(shift) } //nolint:gosec // not negative
		list = append(list, pricing.Asked{Unit: a.Unit, Most: n(a.Most), Else: n(a.Else), Guess: a.Guess})
	}
	return list
}

func rejection(i dialect.RequestInfo) *Denial {
	return &Denial{Reason: i.Reject, Field: "body." + i.Field, Message: rejected(i)}
}

func rejected(i dialect.RequestInfo) string {
	if i.Reject == pricing.AmbiguousRequest {
		return `The field "` + i.Field + `" is in the body twice, or also in another case; send it once.`
	}
	if i.Field == "stream" {
		return `The field "stream" must be true or false.`
	}
	return `The field "` + i.Field + `" must be a whole number, not negative and not beyond reason.`
}

func attributes(id string, more map[string]string) map[string]string {
	if id == "" {
		return nil
	}
	all := map[string]string{"id": id}
	for name, value := range more {
		if name != "id" { // which key or member it is, is not the caller's to say
			all[name] = value
		}
	}
	return all
}

// withPlan prices for a plan and holds.
func (a *admission) withPlan(ctx context.Context, plan string) (*Charge, error) {
	a.plan, a.clamp = a.book.Plan(plan), 0
	if err := a.m.Directory.Members.Check(a.req.Caller.Account, a.req.Caller.Member, a.price.Free() || a.price.Operation() == nil); err != nil {
		return nil, err
	}
	if r := a.price.PlanAllows(a.plan); r != nil {
		return nil, r
	}
	c := &Charge{admission: a, ID: ulid.New("ch_", a.m.opt.Now()), Plan: plan, body: a.req.Body}
	if alone := a.jobStatus(c); alone || a.price.Operation() == nil {
		if c.unmetered = true; !alone {
			a.m.noteUnpriced("free", a.req, "")
		}
		return c, nil
	}
	reserve := ledger.Reserve{Charge: a.record(c.ID), Plan: plan, Caps: a.m.memberCaps(a.req.Caller), Idempotency: a.req.Idempotency, Hash: a.fingerprint()}
	if a.price.Free() { // is recorded when it ends; no reason to wait for the disk, or to stop without one
		c.free = true
		c.reserve = reserve
		c.reserve.Idempotency, c.reserve.Plan = "", ledger.AnyPlan // its price depends on none
		return c, nil
	}
	res, err := a.hold(ctx, reserve)
	if err != nil {
		return nil, a.refused(ctx, err)
	}
	return a.held(c, &res)
}

func (a *admission) held(c *Charge, res *ledger.Result) (*Charge, error) {
	c.Held, c.Remaining, c.Unlimited = res.Charge.HeldTotal(), res.Available, res.Unlimited
	c.hold, c.claimed = res.Charge.Hold, res.Charge.FreeUsed
	if res.Replayed {
		c.ID, c.Replay, c.done = string(res.Charge.ID), &Replay{Charge: res.Charge, Answer: res.Remember.Answer}, true
		if a.m.jobs.isOpen(res.Charge.ID) {
			if rec, err := a.m.readJob(context.Background(), res.Charge.ID); err == nil {
				c.Replay.Answer = rec.Answer
			}
		}
		return c, nil
	}
	a.limit()
	c.prepare(a.m.wantsUsage(a))
	return c, nil
}

func (m *Meter) wantsUsage(a *admission) bool {
	return a.book.Policies.RequestUsage && a.info.Stream && !a.api.Plain() && a.price.TokenPriced()
}

// record is what the ledger keeps of the request.
func (a *admission) record(id string) *ledger.Charge {
	c := &ledger.Charge{
		ID: ledger.ChargeID(id), Member: a.req.Caller.Member, Key: a.req.Caller.Key, Book: a.book.Digest(),
		Model: a.price.ModelAsked(), Subject: a.price.Subject(), Operation: a.price.Subject().Operation,
	}
	var labels []string
	for _, l := range a.book.Labels {
		if v := a.price.Labels()[l.Name]; v != "" {
			labels = append(labels, l.Name+"="+strings.Map(printable, v))
		}
	}
	c.Labels = strings.Join(labels, "\t")
	return c
}

// printable keeps what a client put into a label from being taken for structure.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// fingerprint tells two requests under one idempotency key apart.
func (a *admission) fingerprint() (sum [32]byte) {
	if a.req.Idempotency == "" {
		return sum
	}
	h := sha256.New()
	for _, s := range []string{a.req.Method, a.req.URI, a.req.ContentType} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	h.Write(a.req.Body)
	h.Sum(sum[:0])
	return sum
}

// refused adds to a refusal what the caller needs to go on.
func (a *admission) refused(ctx context.Context, err error) error {
	var r *ledger.Refusal
	if !errors.As(err, &r) {
		return err
	}
	acc, accErr := a.m.writer.Account(ctx, ledger.AccountID(a.req.Caller.Account))
	if accErr != nil {
		acc = nil
	}
	if r.Reason == ledger.InsufficientCredits && r.LimitSource == ledger.LimitBalance && a.limits() {
		if _, later := a.largest(r.Available + r.Held); later && r.Held > 0 { // a limit would fit when the others have ended
			other := *r
			other.Reason, r = ledger.InFlightHolds, &other
		}
	}
	return a.short(r, acc)
}
