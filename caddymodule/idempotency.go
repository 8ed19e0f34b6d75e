package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/money"
)

// scopedIdempotency makes a client's Idempotency-Key one of its account: two accounts that use the same key must not get each
// other's answers from the upstream, which sees one caller.
func scopedIdempotency(h http.Header, account string) {
	if key := h.Get("Idempotency-Key"); key != "" {
		sum := sha256.Sum256([]byte(account + "\x00" + key))
		h.Set("Idempotency-Key", "fb-"+hex.EncodeToString(sum[:16]))
	}
}

// stored is an answer as an idempotency key keeps it.
type stored struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// kept is the answer for replays of the request's key; nil if there is none to
// keep.
func (t *response) kept(o meter.Outcome) []byte {
	if t.body == nil || o != meter.Answered || t.r.Header.Get("Idempotency-Key") == "" {
		return nil
	}
	body := t.body.kept()
	if body == nil {
		return nil
	}
	s := stored{Status: t.status, Header: http.Header{}, Body: body}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Credits-Clamped"} {
		if v := t.Header().Values(name); len(v) > 0 {
			s.Header[name] = v
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return b
}

// replay answers a repeated idempotency key with the first answer.
func (h *Handler) replay(w http.ResponseWriter, r *http.Request, e *engine, again *meter.Replay) error {
	var s stored
	charge := again.Charge
	if len(again.Answer) == 0 || json.Unmarshal(again.Answer, &s) != nil {
		why := "its answer was not kept (a stream that broke off, or too large)"
		if charge.SettledAt.IsZero() {
			why = "it is still running"
		}
		return h.deny(w, r, &meter.Denial{
			Reason: meter.IdempotencyConflict, Field: "header.Idempotency-Key",
			Message: "A request with this Idempotency-Key was already charged as " + string(charge.ID) + "; " + why + ". Nothing was charged again; use a new key to run it again.",
		})
	}
	book, _ := e.Book()
	credits := func(a money.Amount) string { return a.Text(book.Credit.Decimals) }
	header := w.Header()
	maps.Copy(header, s.Header)
	header.Set("Idempotency-Replayed", "true")
	header.Set("Credits-Charge", string(charge.ID))
	if charge.SettledAt.IsZero() { // of a job that goes on
		header.Set("Credits-Held", credits(charge.HeldTotal()))
	} else {
		header.Set("Credits-Cost", credits(charge.Cost))
	}
	header.Set("Credits-Unit", book.Credit.Name)
	header.Set("Credits-Remaining", credits(again.Remaining))
	if again.Unlimited {
		header.Set("Credits-Remaining", "unlimited")
	}
	h.readable(header, r, header[allowOrigin])
	w.WriteHeader(s.Status)
	_, err := w.Write(s.Body)
	return err
}
