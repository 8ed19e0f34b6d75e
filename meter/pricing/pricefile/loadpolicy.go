package pricefile

import (
	"fmt"

	"github.com/farebox-dev/farebox/meter/pricing"
)

func (l *loader) policies(n *Node) {
	p := &l.book.Policies
	*p = pricing.Policies{
		RefundOn: pricing.RefundOn{Status5xx: true, Timeout: true, Connect: true}, TimezoneName: "UTC",
		ReserveOutputTokens: 4096, ReserveInputTokens: 16_384, EstimateBytes: true, ClampOutput: true, RequestUsage: true,
	}
	p.Timezone = l.utc()
	if n == nil || !l.object(n, "policies", "policies") {
		return
	}
	const at = "policies"
	l.places[at] = n
	p.UnpricedFree = l.says(n, at, "policies.unpriced", "free")
	set(n, at, "unlisted_model", &p.UnlistedModel, l.text)
	if p.UnlistedModel == "reject" {
		p.UnlistedModel = ""
	}
	if v := n.Get("refund_on"); v != nil {
		p.RefundOn = l.refundOn(v, at+".refund_on")
	}
	set(n, at, "reserve_output_tokens", &p.ReserveOutputTokens, l.whole)
	set(n, at, "reserve_input_tokens", &p.ReserveInputTokens, l.whole)
	p.Reserve = l.unitReserve(n.Get("reserve"), at+".reserve")
	set(n, at, "overdraft", &p.Overdraft, l.amount)
	if v := n.Get("timezone"); v != nil {
		p.Timezone = l.zone(v, at+".timezone")
		p.TimezoneName = p.Timezone.String()
	}
	p.HoldCeiling = l.says(n, at, "policies.hold", "ceiling")
	p.EstimateBytes = n.Get("estimate") == nil || l.says(n, at, "policies.estimate", "bytes")
	p.ExhaustedOverdraft = l.says(n, at, "policies.when_exhausted", "overdraft")
	set(n, at, "clamp_output", &p.ClampOutput, l.boolean)
	set(n, at, "request_usage", &p.RequestUsage, l.boolean)
	word := ""
	set(n, at, "abandoned", &word, l.word("policies.abandoned"))
	switch word {
	case "capture_hold":
		p.Abandoned = pricing.CaptureHold
	case "release":
		p.Abandoned = pricing.Release
	}
}

func (l *loader) refundOn(n *Node, path string) pricing.RefundOn {
	on := pricing.RefundOn{Connect: true} // what never reached the upstream is always refunded
	if !l.list(n, path) {
		return on
	}
	to := map[string]*bool{
		"4xx": &on.Status4xx, "5xx": &on.Status5xx, "timeout": &on.Timeout,
		"connect": &on.Connect, "client_abort": &on.ClientAbort,
	}
	for i, item := range n.Items {
		word, ok := l.word("policies.refund_on")(item, fmt.Sprintf("%s[%d]", path, i))
		if ok {
			*to[word] = true
		}
	}
	return on
}

// refundWhen is read after the operations, whose units it may name.
func (l *loader) refundWhen(n *Node) {
	if v := n.Get("refund_when"); v != nil {
		l.book.Policies.RefundWhen = l.fromAnswer(v, "policies.refund_when", l.conditions(v, "policies.refund_when", nil, false))
	}
}
