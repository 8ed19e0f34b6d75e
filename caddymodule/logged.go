package caddymodule

import (
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/farebox-dev/farebox/caddymodule/secrets"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logged puts what was charged into the access log and behind the placeholders
// {http.meter.*}; the texts are only made if something asks for them.
func logged(t *response) {
	if !t.metered() {
		return
	}
	ctx := t.r.Context()
	spanEvent(t.r, "meter.settle", t.reported, "charge", "outcome", "model", "usage", "cost", "remaining")
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok && repl != nil {
		repl.Map(t.placeholder)
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok && extra != nil {
		extra.Set(zap.Object("meter", t))
	}
}

// hideSecrets takes keys out of what the server of a handler logs; the result does it for
// the other handlers of the server, once, when all of them are there.
func hideSecrets(ctx caddy.Context) (rest func()) {
	s, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok { // in a test
		return func() {}
	}
	log := ctx.Logger()
	report := func(err error) {
		if err != nil {
			log.Error("keys may be logged; use an encoder that filters them", zap.Error(err))
		}
	}
	report(secrets.Loggers(s))
	return sync.OnceFunc(func() { report(secrets.Handlers(s)) })
}

// placeholder is the value of {http.meter.*}.
func (t *response) placeholder(key string) (any, bool) {
	name, ours := strings.CutPrefix(key, "http.meter.")
	if !ours {
		return nil, false
	}
	return t.reported(name)
}

var reportedNames = []string{"account", "member", "operation", "model", "charge", "outcome", "usage", "cost", "held", "remaining"}

// reported is what logs and placeholders say of a request.
func (t *response) reported(name string) (any, bool) {
	switch name {
	case "account":
		return t.caller.Account, true
	case "member":
		return t.caller.Member, true
	case "operation":
		return t.info.Operation, true
	case "model":
		return t.info.Model, true
	case "charge":
		return t.info.ID, true
	case "outcome":
		return t.receipt.Outcome, true
	case "usage":
		return t.receipt.Usage.String(), true
	case "cost":
		return t.credits(t.receipt.Cost), true
	case "held":
		return t.credits(t.call.Info().Held), true
	case "remaining":
		return t.remaining(t.receipt.Remaining, t.receipt.Unlimited), true
	}
	if unit, ok := strings.CutPrefix(name, "usage."); ok {
		n, _ := t.receipt.Usage.Count(unit)
		return n.String(), true
	}
	return nil, false
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (t *response) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for _, name := range reportedNames {
		if x, ok := t.reported(name); ok && x != "" {
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
