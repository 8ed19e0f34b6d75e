package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/farebox-dev/farebox/meter"
)

// proxyFailed is the status of an error with which the proxy itself ended the
// request, because it got no answer of an upstream: 502, 503 or 504; else 0.
func proxyFailed(err error) int {
	var e caddyhttp.HandlerError
	if !errors.As(err, &e) {
		return 0
	}
	switch e.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return e.StatusCode
	}
	return 0
}

// failed answers for an upstream that gave no answer, or broke off one of which
// nothing has reached the client. It says what was charged.
func (t *tap) failed(f *meter.Receipt, status int) {
	t.answered = true
	reason, message := upstreamFailed, "The upstream could not be reached, or broke its answer off."
	if status == http.StatusGatewayTimeout {
		reason, message = upstreamTimeout, "The upstream did not answer in time."
	}
	if f.Cost == 0 {
		message += " Nothing was charged (" + t.info.ID + ")."
	} else {
		message += " " + t.credits(f.Cost) + " were charged (" + t.info.ID + ")."
	}
	header := t.Header()
	if t.buffered != nil { // what the answer said of itself does not hold for this one
		for name := range header {
			if _, before := t.before[name]; !before {
				delete(header, name)
			}
		}
		t.buffered = nil
	}
	t.status, t.wrote = status, true
	t.h.app.metrics.denied.WithLabelValues(reason).Inc()
	body := t.h.denialHeader(header, t.r, &meter.Denial{
		Reason: reason, Message: message, Facts: &meter.Facts{Reason: reason, Charged: t.credits(f.Cost), Unit: t.unit},
	}, status)
	t.set("Credits-Charge", t.info.ID)
	t.tell(f)
	t.set("Credits-Unit", t.unit)
	t.ResponseWriter.WriteHeader(status)
	if t.r.Method != http.MethodHead {
		_ = t.forward(body)
	}
}
