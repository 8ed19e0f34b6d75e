package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/farebox-dev/farebox/meter"
)

// logged puts what was charged into the access log and behind the placeholders
// {http.meter.*}; the texts are only made if something asks for them.
func logged(r *http.Request, caller *meter.Caller, t *response) {
	if !t.metered() {
		return
	}
	v := &reported{caller, t}
	spanEvent(r, "meter.settle", v.get, "charge", "outcome", "model", "usage", "cost", "remaining")
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok && repl != nil {
		repl.Map(func(key string) (any, bool) {
			name, ours := strings.CutPrefix(key, "http.meter.")
			if !ours {
				return nil, false
			}
			return v.get(name)
		})
	}
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok && extra != nil {
		extra.Set(zap.Object("meter", v))
	}
}

// reported is a request as logs and placeholders see it.
type reported struct {
	caller *meter.Caller
	t      *response
}

var reportedNames = []string{"account", "member", "operation", "model", "charge", "outcome", "usage", "cost", "held", "remaining"}

func (v *reported) get(name string) (any, bool) {
	switch name {
	case "account":
		return v.caller.Account, true
	case "member":
		return v.caller.Member, true
	case "operation":
		return v.t.info.Operation, true
	case "model":
		return v.t.info.Model, true
	case "charge":
		return v.t.info.ID, true
	case "outcome":
		return v.t.receipt.Outcome, true
	case "usage":
		return v.t.receipt.Usage.String(), true
	case "cost":
		return v.t.credits(v.t.receipt.Cost), true
	case "held":
		return v.t.credits(v.t.call.Info().Held), true
	case "remaining":
		return v.t.remaining(v.t.receipt.Remaining, v.t.receipt.Unlimited), true
	}
	if unit, ok := strings.CutPrefix(name, "usage."); ok {
		n, _ := v.t.receipt.Usage.Count(unit)
		return n.String(), true
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (v *reported) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for _, name := range reportedNames {
		if x, ok := v.get(name); ok && x != "" {
			enc.AddString(name, x.(string)) //nolint:forcetypeassert // all of them are
		}
	}
	return nil
}

// spanEvent adds an event to the request's span, if Caddy traces it (directive
// tracing). Amounts are text there, too: they are exact.
func spanEvent(r *http.Request, event string, get func(name string) (any, bool), names ...string) {
	span := trace.SpanFromContext(r.Context())
	if !span.IsRecording() {
		return
	}
	var list []attribute.KeyValue
	for _, name := range names {
		if x, ok := get(name); ok && x != "" {
			list = append(list, attribute.String("meter."+name, x.(string))) //nolint:forcetypeassert // all of them are
		}
	}
	span.AddEvent(event, trace.WithAttributes(list...))
}
