package meter

import (
	"bytes"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/dialect"
)

// A body can leave with members in it that the client has not written: the
// question for usage, and an output limit. An upstream that refuses one of them
// must not be the client's problem.

// usageMember is the member that asks for usage in a stream.
const usageMember = "stream_options"

// prepare writes into the body what the charge needs in it.
func (c *Charge) prepare(usage bool) {
	if c.clamp == 0 && !usage {
		c.body, c.strip = c.req.Body, false
		return
	}
	if c.clamp > 0 && c.limitField == "" {
		names := c.api.OutputLimits(c.req.Body)
		if c.ownLimit = len(names) > 0 && c.info.MaxOutput.OK; !c.ownLimit && len(names) > 0 {
			c.limitField = names[0]
		}
	}
	body, injected, err := c.api.Prepare(c.req.Body, dialect.Edit{RequestUsage: usage, MaxOutput: c.clamp, LimitField: c.limitField})
	if err != nil { // the body stays as it is; without a limit in it nothing would stop the answer but the stream's end
		body, injected, c.clamp = c.req.Body, false, 0
	}
	c.body, c.strip = body, injected
}

// Additions are the members of Body that the client has not written.
func (c *Charge) Additions() (list []string) {
	if c.strip {
		list = append(list, usageMember)
	}
	if c.clamp > 0 && !c.ownLimit {
		list = append(list, c.limitField)
	}
	return list
}

// Refused is the addition that an upstream's error is about, "" if it is about
// none. An error about a field that it does not name counts as one about the
// question for usage.
func (c *Charge) Refused(answer []byte) string {
	list := c.Additions()
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

// Without takes an addition out of Body. An output limit moves to another name
// that the API knows for it: the hold relies on it. False: there is none, and
// Body is as it was.
func (c *Charge) Without(addition string) bool {
	switch {
	case !slices.Contains(c.Additions(), addition):
		return false
	case addition == usageMember:
		c.prepare(false)
		return true
	}
	other := c.api.OtherLimit(addition)
	if other == "" {
		return false
	}
	c.limitField = other
	c.prepare(c.strip)
	return true
}
