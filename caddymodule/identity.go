package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/farebox-dev/farebox/meter"
)

// keyHeaders are where the providers' SDKs put their API keys.
var keyHeaders = []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key"}

// secretOf is the Farebox key of a request, or what stands in its place.
func secretOf(h http.Header) string {
	other := ""
	for _, name := range keyHeaders {
		for _, v := range h[name] {
			if name == "Authorization" {
				scheme, token, ok := strings.Cut(v, " ")
				if !ok || !strings.EqualFold(scheme, "bearer") {
					continue
				}
				v = strings.TrimSpace(token)
			}
			if strings.HasPrefix(v, meter.KeyPrefix) {
				return v
			}
			if v != "" {
				other = v
			}
		}
	}
	if key := protocolKey(h); key != "" {
		return key
	}
	return other
}

// stripKeys takes the client's key out of a request that goes upstream; header_up
// of reverse_proxy puts the provider's there. Query keys (Gemini) go as well.
func stripKeys(r *http.Request) {
	for _, name := range keyHeaders {
		r.Header.Del(name)
	}
	if q := r.URL.RawQuery; strings.Contains(q, "key="+meter.KeyPrefix) {
		u := *r.URL
		var keep []string
		for part := range strings.SplitSeq(q, "&") {
			if !strings.HasPrefix(part, "key=") {
				keep = append(keep, part)
			}
		}
		u.RawQuery = strings.Join(keep, "&")
		r.URL = &u
	}
}

// identify says who calls: the account that a placeholder names, or the one
// that the key belongs to.
func (h *Handler) identify(e *engine, r *http.Request) (meter.Caller, error) {
	repl, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	var c meter.Caller
	if h.Account == "" {
		secret := secretOf(r.Header)
		if secret == "" {
			secret = r.URL.Query().Get("key")
		}
		var err error
		if c, err = e.Identify(secret); err != nil {
			return c, err
		}
	} else {
		c = meter.Caller{Account: repl.ReplaceAll(h.Account, ""), Trusted: true}
		if c.Account == "" {
			return c, &meter.Denial{Reason: meter.NoKey, Message: "This request does not say which account it belongs to; sign in first."}
		}
		if err := meter.ValidAccountID(c.Account); err != nil { // a name that no account can have
			return c, &meter.Denial{Reason: meter.UnknownAccount, Message: "This request names an account that can't exist.", Err: err}
		}
	}
	if h.Member != "" {
		c.Member = repl.ReplaceAll(h.Member, "")
	}
	return c, nil
}
