package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/directory"
)

// stripKeys takes the client's key out of a request that goes upstream; header_up
// of reverse_proxy puts the provider's there.
func stripKeys(r *http.Request) {
	if left := directory.StripKeys(r.Header, r.URL.RawQuery); left != r.URL.RawQuery {
		u := *r.URL
		u.RawQuery = left
		r.URL = &u
	}
}

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
		var err error
		if c, err = e.Identify(directory.SecretOf(r.Header, r.URL.RawQuery)); err != nil {
			return c, err
		}
	} else {
		c = meter.Caller{Account: repl.ReplaceAll(h.Account, ""), Trusted: true}
		if c.Account == "" {
			return c, &meter.Denial{Reason: meter.NoKey, Message: "This request does not say which account it belongs to; sign in first."}
		}
		if err := directory.ValidID(c.Account); err != nil { // a name that no account can have
			return c, &meter.Denial{Reason: meter.UnknownAccount, Message: "This request names an account that can't exist.", Err: err}
		}
	}
	if h.Member != "" {
		c.Member = repl.ReplaceAll(h.Member, "")
	}
	return c, nil
}
