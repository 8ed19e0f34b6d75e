package ledger

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

// LineID names a line of a plan's credits. Its number is part of the name, so
// two lines of the same type are two lines.
type LineID struct {
	Plan string
	Line int
	Type string // of the grants that the line gives
}

func (l LineID) compare(o LineID) int {
	return cmp.Or(strings.Compare(l.Plan, o.Plan), cmp.Compare(l.Line, o.Line), strings.Compare(l.Type, o.Type))
}

// Instance is what a line grants for one of its periods. The zero value is no
// instance: credits that were bought or given.
type Instance struct {
	LineID
	Start time.Time // of the period; of a one-time line, when the plan began
}

// id is the id of the grant for i. It is made of the instance alone, so the same
// instance cannot be granted twice.
func (i Instance) id(prefix string) GrantID {
	return GrantID(prefix + i.Plan + "#" + strconv.Itoa(i.Line) + " " + i.Type + ":" + i.Start.Format(time.RFC3339Nano))
}

// Origin says where a grant comes from.
type Origin struct {
	Kind     OriginKind
	Instance          // FromPlan, FromRollover
	Pack     string   // FromPack
	Charge   ChargeID // FromCharge
}

// OriginKind is a kind of Origin.
type OriginKind uint8

// Kinds of origins.
const (
	FromOperator OriginKind = iota // given by hand
	FromPlan                       // an instance of a plan's line
	FromRollover                   // carried over from earlier instances
	FromPack                       // bought
	FromCharge                     // a courtesy for credits that a failed request held too long
)

// CounterKey says what a counter counts: the units of a free tier, or what a cap
// limits. Each plan has counters of its own.
type CounterKey struct {
	Plan  string
	Free  string        // free tier: its operation's counter; "" for a cap
	Per   string        // cap: "member", "key" or "account"; "" for a free tier
	Every calendar.Unit // cap
	Who   string        // cap: id of the member or key
}

func (k CounterKey) isCap() bool { return k.Per != "" }

func (k CounterKey) compare(o CounterKey) int {
	return cmp.Or(strings.Compare(k.Plan, o.Plan), strings.Compare(k.Free, o.Free), strings.Compare(k.Per, o.Per),
		cmp.Compare(k.Every, o.Every), strings.Compare(k.Who, o.Who))
}

// AlertKey names a warning. An account that leaves a plan and comes back within
// the same period finds its warnings sent.
type AlertKey struct {
	Plan      string
	Threshold string // Threshold.Text
	Lifted    bool   // when a grant lifted the account clear of it, not when it was sent
}

func (k AlertKey) compare(o AlertKey) int {
	lifted := 0
	if k.Lifted != o.Lifted {
		lifted = first(o.Lifted, k.Lifted)
	}
	return cmp.Or(strings.Compare(k.Plan, o.Plan), strings.Compare(k.Threshold, o.Threshold), lifted)
}
