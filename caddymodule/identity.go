package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/farebox-dev/farebox/meter"
)

// keyHeaders are where the providers' SDKs put their API keys.
var keyHeaders = []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key"}

// keyParameter is where Gemini's clients put the key in a query.
const keyParameter = "key"

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
	var keep []string
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if !isKeyParameter(part) {
			keep = append(keep, part)
		}
	}
	if left := strings.Join(keep, "&"); left != r.URL.RawQuery {
		u := *r.URL
		u.RawQuery = left
		r.URL = &u
	}
}

// isKeyParameter: the query parameter is the one that identify reads the key from, however its name is written.
func isKeyParameter(part string) bool {
	name, _, _ := strings.Cut(part, "=")
	decoded, err := url.QueryUnescape(name)
	return decoded == keyParameter || err != nil && strings.Contains(part, meter.KeyPrefix)
}

// overrides are headers by which some servers take another path or method than the one that was priced.
var overrides = []string{"X-Original-Url", "X-Rewrite-Url", "X-Original-Uri", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// scopedIdempotency makes a client's Idempotency-Key one of its account: two accounts that use the same key must not get each
// other's answers from the upstream, which sees one caller.
func scopedIdempotency(h http.Header, account string) {
	if key := h.Get("Idempotency-Key"); key != "" {
		sum := sha256.Sum256([]byte(account + "\x00" + key))
		h.Set("Idempotency-Key", "fb-"+hex.EncodeToString(sum[:16]))
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
			secret = r.URL.Query().Get(keyParameter)
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
