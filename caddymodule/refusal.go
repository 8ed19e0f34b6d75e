package caddymodule

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Reasons that only a web server has.
const (
	bodyTooLarge      = "body_too_large"
	encodingUnknown   = "encoding_unknown"
	bodyUnreadable    = "body_unreadable"
	bodyTimeout       = "body_timeout"
	upgradeNotMetered = "upgrade_not_metered"
	upstreamBilling   = "upstream_billing"
	gatewayBusy       = "gateway_busy"
	upstreamFailed    = "upstream_failed"
	upstreamTimeout   = "upstream_timeout"
)

// statuses is the one table from reasons to HTTP.
var statuses = map[string]int{
	ledger.InsufficientCredits: http.StatusPaymentRequired, // 402, not 429: official SDKs retry 429 by themselves
	ledger.InFlightHolds:       http.StatusPaymentRequired,

	meter.NoKey:          http.StatusUnauthorized,
	meter.UnknownKey:     http.StatusUnauthorized,
	meter.KeyRevoked:     http.StatusUnauthorized,
	meter.KeyExpired:     http.StatusUnauthorized,
	meter.UnknownAccount: http.StatusUnauthorized,

	meter.AccountSuspended:     http.StatusForbidden,
	meter.MemberRemoved:        http.StatusForbidden,
	meter.ViewerCannotSpend:    http.StatusForbidden,
	meter.SubscriptionRequired: http.StatusForbidden,
	pricing.PlanDoesNotInclude: http.StatusForbidden,
	pricing.OperationNotPriced: http.StatusForbidden,
	pricing.ModelNotPriced:     http.StatusForbidden,
	upgradeNotMetered:          http.StatusForbidden,

	pricing.AmbiguousRequest: http.StatusBadRequest,
	pricing.QuantityInvalid:  http.StatusBadRequest,
	pricing.QuantityTooLarge: http.StatusBadRequest,
	pricing.MissingModel:     http.StatusBadRequest,
	pricing.BodyNotJSON:      http.StatusBadRequest,
	pricing.BodyNotForm:      http.StatusBadRequest,
	bodyUnreadable:           http.StatusBadRequest,
	meter.TextTooLong:        http.StatusBadRequest,
	meter.TooManyConcurrent:  http.StatusTooManyRequests, // which official SDKs retry by themselves, as they should

	meter.JobNotFound:         http.StatusNotFound,
	meter.ObjectNotFound:      http.StatusNotFound,
	meter.ListRefused:         http.StatusForbidden,
	meter.IdempotencyConflict: http.StatusConflict,
	bodyTooLarge:              http.StatusRequestEntityTooLarge,
	encodingUnknown:           http.StatusUnsupportedMediaType,
	bodyTimeout:               http.StatusRequestTimeout,
	meter.Unavailable:         http.StatusServiceUnavailable,
	upstreamBilling:           http.StatusBadGateway,
	gatewayBusy:               http.StatusServiceUnavailable,
	upstreamFailed:            http.StatusBadGateway,
	upstreamTimeout:           http.StatusGatewayTimeout,
}

// deny answers a request that does not run. An error that is not a refusal is ours,
// and Caddy's to report.
func (h *Handler) deny(w http.ResponseWriter, r *http.Request, err error) error {
	var d *meter.Refusal
	if !errors.As(err, &d) {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	status := statuses[d.Reason]
	if status == 0 {
		return caddyhttp.Error(http.StatusInternalServerError, fmt.Errorf("no status for %w", d))
	}
	h.app.metrics.refused.WithLabelValues(d.Reason).Inc()
	if status == http.StatusServiceUnavailable {
		h.app.log.Error(d.Reason, zap.Error(d.Err))
	}
	setPlaceholder(r, "outcome", d.Reason)
	spanEvent(r, "meter.refused", func(string) (any, bool) { return d.Reason, true }, "reason")
	if h.RefusalFormat == "none" {
		h.readable(w.Header(), r, w.Header()[allowOrigin])
		return caddyhttp.Error(status, d)
	}
	body := h.refusalHeader(w.Header(), r, d, status)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
	return nil
}

// docsFor is where a reason is explained, if this configuration has the pages.
func (a *App) docsFor(r *http.Request, reason string) string {
	base, _ := a.docs.Load().(string)
	if base == "" {
		return ""
	}
	scheme := "http"
	if overTLS(r) {
		scheme = "https"
	}
	return scheme + "://" + r.Host + base + "/errors#" + reason
}

// overTLS: the client came over TLS, to Caddy itself or to a proxy in front that
// the server trusts (servers { trusted_proxies … }).
func overTLS(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return r.TLS != nil || trusted && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// refusalHeader sets all headers of a refusal and returns its body.
func (h *Handler) refusalHeader(header http.Header, r *http.Request, d *meter.Refusal, status int) []byte {
	facts := d.Facts
	if facts == nil {
		facts = &meter.Facts{Reason: d.Reason, Field: d.Field}
	}
	facts.Docs = h.app.docsFor(r, d.Reason)
	id := requestID(r)
	api := h.errorDialect(r)
	kind, body := api.Errors().Response(dialect.ErrorInfo{Status: status, Reason: d.Reason, Message: d.Message, RequestID: id, Credits: facts.JSON()})
	if strings.Contains(r.Header.Get("Accept"), "text/html") && h.RefusalFormat == "auto" {
		kind, body = "text/html; charset=utf-8", page(d, facts, status)
	}
	header.Set("Content-Type", kind)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Request-Id", id)
	header.Set("X-Request-Id", id)
	header.Set("X-Should-Retry", strconv.FormatBool(d.Reason == ledger.InFlightHolds || status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable))
	if wait := facts.RetryAfter; wait > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
	if status == http.StatusUnauthorized {
		header.Set("Www-Authenticate", `Bearer realm="farebox"`)
	}
	if facts.Available != "" {
		header.Set("Credits-Remaining", facts.Available)
		header.Set("Credits-Cost", "0")
		header.Set("Credits-Unit", facts.Unit)
	}
	if c := facts.Concurrent; c != nil {
		header.Set("Concurrency-Limit", strconv.Itoa(c.Limit))
		header.Set("Concurrency-Limit-Per", c.Per)
	}
	for _, o := range facts.Options {
		if o.Do == "top_up" && o.URL != "" {
			header.Set("Link", "<"+o.URL+`>; rel="payment"`)
		}
	}
	h.readable(header, r, header[allowOrigin])
	return body
}

// errorDialect is how the endpoint's clients expect errors to look.
func (h *Handler) errorDialect(r *http.Request) *dialect.API {
	switch h.RefusalFormat {
	case "openai":
		return dialect.Detect(http.MethodPost, "/v1/chat/completions", "")
	case "anthropic":
		return dialect.Detect(http.MethodPost, "/v1/messages", "")
	case "gemini":
		return dialect.Detect(http.MethodPost, "/v1beta/models/m:generateContent", "")
	case "problem":
		return dialect.Detect(http.MethodPost, "/", "plain")
	}
	return dialect.Detect(r.Method, r.URL.Path, "")
}

func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(c rune) bool { return c < '!' || c > '~' }) {
		return id
	}
	return "req_" + strings.ToLower(strconv.FormatInt(time.Now().UnixNano(), 36))
}

// page is what a person in a browser sees.
func page(d *meter.Refusal, f *meter.Facts, status int) []byte {
	var links strings.Builder
	for _, o := range f.Options {
		if o.URL != "" {
			fmt.Fprintf(&links, `<p><a href="%s">%s</a></p>`, html.EscapeString(o.URL), map[string]string{"top_up": "Top up", "upgrade": "Upgrade"}[o.Do])
		}
	}
	return fmt.Appendf(nil, `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%d %s</title>
<body style="font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:4em auto;padding:0 1em"><h1>%s</h1><p>%s</p>%s</body></html>
`, status, http.StatusText(status), http.StatusText(status), html.EscapeString(d.Message), links.String())
}
