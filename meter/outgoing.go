package meter

import (
	"bytes"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/dialect"
)

// Outgoing is a request as it goes upstream. Its body can have members in it that
// the client has not written: the question for usage, and an output limit. An
// upstream that refuses one of them must not be the client's problem.
type Outgoing struct {
	a          *admission
	body       []byte
	strip      bool   // usage is asked for on the client's behalf: it is taken out of the answer
	ownLimit   bool   // the client has written an output limit, which was lowered
	limitField string // where the output limit was added
}

// Body is the request's own body, or one with additions.
func (o *Outgoing) Body() []byte { return o.body }

// ContentType is the client's, unless a server could read something else by it
// than was priced.
func (o *Outgoing) ContentType() string {
	a := o.a
	if a.price.Asked.JSON || a.body.Kind.IsForm() || a.price.NeedsAsks() || a.price.TokenPriced() {
		return a.body.Kind.SentType(a.req.ContentType)
	}
	return a.req.ContentType
}

// OutputLimit is the limit of output tokens that was written into the body; 0:
// none was.
func (o *Outgoing) OutputLimit() int64 { return o.a.clamp }

// usageMember is the member that asks for usage in a stream.
const usageMember = "stream_options"

// prepare writes into the body what the call needs in it.
func (o *Outgoing) prepare(usage bool) {
	if o.a.clamp == 0 && !usage {
		o.body, o.strip = o.a.req.Body, false
		return
	}
	if o.a.clamp > 0 && o.limitField == "" {
		names := o.a.api.OutputLimit().Members(o.a.req.Body)
		if o.ownLimit = len(names) > 0 && o.a.info.MaxOutput.OK; !o.ownLimit && len(names) > 0 {
			o.limitField = names[0]
		}
	}
	body, injected, err := o.a.api.Prepare(o.a.req.Body, dialect.Edit{RequestUsage: usage, MaxOutput: o.a.clamp, LimitField: o.limitField})
	if err != nil { // the body stays as it is; without a limit in it nothing would stop the answer but the stream's end
		body, injected, o.a.clamp = o.a.req.Body, false, 0
	}
	o.body, o.strip = body, injected
}

// Additions are the members of Body that the client has not written.
func (o *Outgoing) Additions() (list []string) {
	if o.strip {
		list = append(list, usageMember)
	}
	if o.a.clamp > 0 && !o.ownLimit {
		list = append(list, o.limitField)
	}
	return list
}

// Refused is the addition that an upstream's error is about, "" if it is about
// none. An error about a field that it does not name counts as one about the
// question for usage.
func (o *Outgoing) Refused(answer []byte) string {
	list := o.Additions()
	for _, name := range list {
		if bytes.Contains(answer, []byte(name)) || name == usageMember && bytes.Contains(answer, []byte("include_usage")) {
			return name
		}
		if _, last, deep := strings.Cut(name, "."); deep && bytes.Contains(answer, []byte(last)) {
			return name
		}
	}
	if len(list) > 0 && dialect.UnknownField(answer) {
		return list[0]
	}
	return ""
}

// Without takes an addition out of the body. An output limit moves to another
// name that the API knows for it, instead: the hold relies on it. Not ok: there is
// none, and the body is as it was.
func (o *Outgoing) Without(addition string) (instead string, ok bool) {
	switch {
	case !slices.Contains(o.Additions(), addition):
		return "", false
	case addition == usageMember:
		o.prepare(false)
		return "", true
	}
	if instead = o.a.api.OutputLimit().Alternative(addition); instead == "" {
		return "", false
	}
	o.limitField = instead
	o.prepare(o.strip)
	return instead, true
}
