package meter

import (
	"time"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/form"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/writer"
)

// admission is one request on its way to a charge.
type admission struct {
	m       *Gateway
	req     *Request
	book    *loaded
	plan    *pricing.Plan
	price   *pricing.Request
	api     *dialect.API // of the endpoint: how errors look, what may be edited
	reads   *dialect.API // how the answer is read
	body    dialect.Body
	info    dialect.RequestInfo
	scan    dialect.InputEstimate // what the dialect says of the input
	est     pricing.Usage         // the same as tokens, by what the model has made of such input before
	bound   int64                 // output tokens of one answer that are held
	clamp   int64                 // written into the request; 0: not
	left    money.Amount          // units of the free tier that were left for it
	began   time.Time
	on      *trial          // what the hold is tried on; nil: the account itself
	pending *writer.Pending // the hold, if it is not on disk yet
	facts   pricing.Facts   // of the request, for its price
}

// read finds operation, model, quantities and dialect.
func (a *admission) read() error {
	if err := a.readPrice(); err != nil {
		return err
	}
	if a.price.ReadsModels() {
		if err := a.mayRun(); err != nil {
			return err
		}
	}
	if a.price.Free() {
		return nil
	}
	if err := a.readBody(); err != nil {
		return err
	}
	if a.price.NeedsAsks() {
		a.price.Asked.Units = asked(a.api, a.body)
	}
	if !a.price.TokenPriced() { // a condition may still ask how long the input is
		a.estimateInput(!a.api.Unknown && a.body.Kind == form.JSON)
		return nil
	}
	if a.api.Unknown { // priced by tokens behind a path of its own: most speak like chat completions
		a.reads = dialect.Detect("POST", "/v1/chat/completions", "")
	} else {
		a.price.Asked.OutputLimit, a.price.Asked.Limited, a.price.Asked.Answers = a.info.MaxOutput.N, a.info.MaxOutput.OK, max(a.info.N, 1)
	}
	a.estimateInput(true)
	a.kinds()
	return nil
}

// readPrice finds the operation and its price, and the API of the path.
func (a *admission) readPrice() (err error) {
	if a.began.IsZero() {
		a.began = a.m.opt.Now()
	}
	path, _ := pricing.CleanPath(a.req.URI)
	a.api = dialect.Detect(a.req.Method, path, "")
	a.facts = pricing.Facts{
		PathModel: a.api.PathModel,
		Method:    a.req.Method, URI: a.req.URI, Header: a.req.Header, Body: a.req.Body, ContentType: a.req.ContentType,
		Key: attributes(a.req.Caller.Key, a.req.Caller.KeyAttributes), Member: attributes(a.req.Caller.Member, a.req.Caller.MemberAttributes), At: a.began,
	}
	if a.price, err = a.book.Read(&a.facts); err != nil {
		return err
	}
	if hint := hintOf(a.price.Asked.API); hint != "" || a.price.Asked.Path != path {
		a.api = dialect.Detect(a.req.Method, a.price.Asked.Path, hint)
	}
	a.reads, a.body = a.api, dialect.ReadBody(a.req.ContentType, a.req.Body)
	if !a.price.Asked.JSON && ownership.RefersInBody(a.req.Method, path) && !a.body.Readable() { // what it names could not be looked at
		return unreadable()
	}
	return nil
}

// readBody reads what the dialect knows of the request. It refuses what could
// not be charged.
func (a *admission) readBody() error {
	if field := a.api.DropsUsage(a.req.URI, a.req.Header); field != "" {
		return &Refusal{Reason: pricing.AmbiguousRequest, Field: field, Message: `The answer would leave out what it used, and could not be charged; leave out "` + field + `".`}
	}
	if (a.price.NeedsAsks() || a.price.TokenPriced()) && !a.price.Asked.JSON && !a.body.Readable() {
		return unreadable()
	}
	if a.api.Unknown && !a.price.TokenPriced() {
		return nil
	}
	if a.info = a.api.ReadRequest(a.body); a.info.Reject != "" {
		return rejection(a.info)
	}
	return nil
}

// unreadable refuses a body that some servers could read.
func unreadable() error {
	return &Refusal{Reason: pricing.BodyNotJSON, Field: "body", Message: "The body is neither one JSON document in UTF-8 nor a form under its own Content-Type; send one of them."}
}

// mayRun tells the price of all the models that the request may run.
func (a *admission) mayRun() error {
	runs := a.api.Runs(a.body)
	if runs.Reject != "" {
		return &Refusal{Reason: runs.Reject, Field: "body." + runs.Field, Message: runs.Message}
	}
	if r := a.price.MayRun(pricing.Runs{Models: runs.Models, Chooser: runs.Chooser, Unseen: a.api.FileBatch}); r != nil {
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
		a.est.Tokens[pricing.Input] = a.m.calibration.Input(a.price.Asked.Model, a.scan)
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
func asked(api *dialect.API, body dialect.Body) []pricing.UnitAsk {
	asks := api.Asks(body)
	list := make([]pricing.UnitAsk, 0, len(asks))
	for _, a := range asks {
		shift := 0
		if a.Milli {
			shift = -3
		}
		n := func(n int64) money.Decimal { return money.FromInt(uint64(max(n, 0))).Shift(shift) } //nolint:gosec // not negative
		list = append(list, pricing.UnitAsk{Unit: a.Unit, Most: n(a.Most), Else: n(a.Else), Guess: a.Guess})
	}
	return list
}

func rejection(i dialect.RequestInfo) *Refusal {
	return &Refusal{Reason: i.Reject, Field: "body." + i.Field, Message: rejected(i)}
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
