package pricefile

import (
	"github.com/farebox-dev/farebox/meter/pricing"
)

func (l *loader) policies(n *Node) {
	p := &l.book.Policies
	*p = pricing.Policies{
		RefundOn: pricing.RefundOn{Status5xx: true, Timeout: true, Connect: true}, TimezoneName: "UTC",
		ReserveOutputTokens: 4096, ReserveInputTokens: 16_384, EstimateBytes: true, ClampOutput: true, RequestUsage: true,
	}
	p.Timezone = l.utc()
	if n == nil || !l.object(n, "policies") {
		return
	}
	l.places["policies"] = n
	p.UnpricedFree = l.says(n, "policies.unpriced", "free")
	set(n, "unlisted_model", &p.UnlistedModel, l.text)
	if p.UnlistedModel == "reject" {
		p.UnlistedModel = ""
	}
	if v := n.Get("refund_on"); v != nil {
		p.RefundOn = l.refundOn(v)
	}
	set(n, "reserve_output_tokens", &p.ReserveOutputTokens, l.whole)
	set(n, "reserve_input_tokens", &p.ReserveInputTokens, l.whole)
	p.Reserve = l.unitReserve(n.Get("reserve"))
	set(n, "overdraft", &p.Overdraft, l.amount)
	if v := n.Get("timezone"); v != nil {
		p.Timezone = l.zone(v)
		p.TimezoneName = p.Timezone.String()
	}
	p.HoldCeiling = l.says(n, "policies.hold", "ceiling")
	p.EstimateBytes = n.Get("estimate") == nil || l.says(n, "policies.estimate", "bytes")
	p.ExhaustedOverdraft = l.says(n, "policies.when_exhausted", "overdraft")
	set(n, "clamp_output", &p.ClampOutput, l.boolean)
	set(n, "request_usage", &p.RequestUsage, l.boolean)
	word := ""
	set(n, "abandoned", &word, l.word("policies.abandoned"))
	switch word {
	case "capture_hold":
		p.Abandoned = pricing.CaptureHold
	case "release":
		p.Abandoned = pricing.Release
	}
}

func (l *loader) refundOn(n *Node) pricing.RefundOn {
	on := pricing.RefundOn{Connect: true} // what never reached the upstream is always refunded
	if !l.list(n) {
		return on
	}
	to := map[string]*bool{
		"4xx": &on.Status4xx, "5xx": &on.Status5xx, "timeout": &on.Timeout,
		"connect": &on.Connect, "client_abort": &on.ClientAbort,
	}
	for item := range n.items() {
		word, ok := l.word("policies.refund_on")(item)
		if ok {
			*to[word] = true
		}
	}
	return on
}

// refundWhen is read after the operations, whose units it may name.
func (l *loader) refundWhen(n *Node) {
	if v := n.Get("refund_when"); v != nil {
		l.book.Policies.RefundWhen = l.fromAnswer(v, l.conditions(v, nil, false))
	}
}
