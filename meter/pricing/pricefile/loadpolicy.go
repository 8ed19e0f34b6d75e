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
	for i := range n.Pairs {
		l.policy(p, n.Pairs[i].Key, n.Pairs[i].Value, "policies."+n.Pairs[i].Key)
	}
}

func (l *loader) policy(p *pricing.Policies, key string, v *Node, path string) {
	switch key {
	case "unpriced":
		word, _ := l.enum(v, path, "reject", "free")
		p.UnpricedFree = word == "free"
		l.places[path] = v
	case "unlisted_model":
		if s, ok := l.text(v, path); ok && s != "reject" {
			p.UnlistedModel = s
		}
	case "refund_on":
		p.RefundOn = l.refundOn(v, path)
	case "reserve_output_tokens":
		p.ReserveOutputTokens, _ = l.whole(v, path)
	case "reserve_input_tokens":
		p.ReserveInputTokens, _ = l.whole(v, path)
	case "reserve":
		p.Reserve = l.unitReserve(v, path)
	case "overdraft":
		p.Overdraft, _ = l.amount(v, path)
	case "timezone":
		p.Timezone = l.zone(v, path)
		p.TimezoneName = p.Timezone.String()
	case "hold":
		word, _ := l.enum(v, path, "progressive", "ceiling")
		p.HoldCeiling = word == "ceiling"
	case "estimate":
		p.EstimateBytes = l.estimate(v, path)
	case "when_exhausted":
		word, _ := l.enum(v, path, "stop", "overdraft")
		p.ExhaustedOverdraft = word == "overdraft"
	case "clamp_output":
		p.ClampOutput, _ = l.boolean(v, path)
	case "request_usage":
		p.RequestUsage, _ = l.boolean(v, path)
	case "abandoned":
		switch word, _ := l.enum(v, path, "capture_observed", "capture_hold", "release"); word {
		case "capture_hold":
			p.Abandoned = pricing.CaptureHold
		case "release":
			p.Abandoned = pricing.Release
		}
	}
}

// estimate reads how the input is guessed: true for its bound.
func (l *loader) estimate(n *Node, path string) bool {
	word, _ := l.enum(n, path, "scan", "bytes")
	return word == "bytes"
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
		word, ok := l.enum(item, fmt.Sprintf("%s[%d]", path, i), "4xx", "5xx", "timeout", "connect", "client_abort")
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
