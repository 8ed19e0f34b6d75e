package caddymodule

import (
	"bytes"
	"maps"
	"net/http"
	"strings"

	"github.com/farebox-dev/farebox/internal/coding"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/dialect/frame"
)

// maxBuffered is the largest answer that is read whole, so that its cost can be
// in a header.
const maxBuffered = 1 << 20

// buffered is an answer that is held back until its cost is known. One that
// turns out to be too large, or a stream, becomes streamed.
type buffered struct {
	t         *response
	whole     bytes.Buffer
	announced []string // the upstream's trailers
}

// buffer holds an answer back.
func (t *response) buffer() *buffered {
	b := &buffered{t: t, announced: t.Header()["Trailer"]}
	delete(t.Header(), "Trailer")
	return b
}

func (b *buffered) write(p []byte) error {
	if b.whole.Len()+len(p) > maxBuffered {
		s, err := b.spill()
		if err != nil {
			return err
		}
		return s.write(p)
	}
	b.whole.Write(p)
	if b.t.status < 300 && !b.t.bodyless() && frame.LooksStreamed(b.whole.Bytes()) {
		_, err := b.spill()
		return err
	}
	return nil
}

// spill gives up holding the answer back.
func (b *buffered) spill() (*streamed, error) {
	if b.t.durable() != nil {
		return nil, errLost
	}
	if len(b.announced) > 0 {
		b.t.Header()["Trailer"] = b.announced
	}
	s := b.t.stream()
	b.t.body = s
	return s, s.write(b.whole.Bytes())
}

func (b *buffered) held() bool { return true }

func (b *buffered) end(o meter.Outcome) {
	if o != meter.UpstreamBroke { // an answer that broke off was not delivered
		plain := b.plain()
		if plain == nil && b.whole.Len() > 0 {
			b.t.unreadable()
		}
		_, _ = b.t.call.Observe(b.t.r.Context(), plain)
	}
	if o == meter.Answered {
		b.t.call.End()
	}
}

// plain is the body without its content encoding; nil: the encoding is unknown.
func (b *buffered) plain() []byte {
	return coding.Plain(coding.Of(b.t.Header()), b.whole.Bytes(), 16*maxBuffered)
}

func (b *buffered) kept() []byte {
	if b.whole.Len() > maxKept {
		return nil
	}
	return b.whole.Bytes()
}

// settled sends the answer with what it cost.
func (b *buffered) settled(o meter.Outcome, f *meter.Receipt) {
	t := b.t
	switch {
	case o == meter.UpstreamBroke && !t.gone:
		t.failed(f, http.StatusBadGateway)
		return
	case o != meter.Answered:
		return
	}
	body := b.whole.Bytes()
	if f.Quota || t.status == http.StatusPaymentRequired { // the operator's own account with the provider is empty, which is not a 402 for the customer
		t.status = http.StatusBadGateway
		body = t.h.upstreamBilling(t.Header(), t.r)
	}
	t.setCost(f)
	if f.Pending { // a job: its cost is known when it has ended
		t.set("Credits-Held", t.credits(t.call.Info().Held))
		if t.info.TokenPriced {
			t.Header().Del("Credits-Cost")
		}
	}
	late := b.takeTrailers()
	switch {
	case t.bodyless(), len(late) > 0 && t.r.ProtoAtLeast(1, 1):
		if t.r.Method != http.MethodHead {
			t.Header().Del("Content-Length")
		}
	default:
		t.set("Content-Length", itoa(int64(len(body))))
	}
	t.ResponseWriter.WriteHeader(t.status)
	_ = t.forward(body)
	maps.Copy(t.Header(), late)
}

// takeTrailers takes the upstream's trailers out of the header, where
// reverse_proxy has put them behind the body, and announces them again.
func (b *buffered) takeTrailers() http.Header {
	header := b.t.Header()
	if b.t.bodyless() {
		return nil
	}
	var late http.Header
	take := func(name string, v []string) {
		if late == nil {
			late = http.Header{}
		}
		late[name] = v
		delete(header, name)
	}
	for _, line := range b.announced {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if v, ok := header[name]; ok && name != "" {
				take(name, v)
				header.Add("Trailer", name)
			}
		}
	}
	for name, v := range header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			take(name, v)
		}
	}
	return late
}

// upstreamBilling replaces an answer that says that the operator's own account with
// the provider is empty.
func (h *Handler) upstreamBilling(header http.Header, r *http.Request) []byte {
	for _, name := range []string{"Content-Encoding", "Retry-After"} {
		header.Del(name)
	}
	return h.refusalHeader(header, r, &meter.Refusal{
		Reason:  upstreamBilling,
		Message: "The AI provider refused to serve this gateway; its operator has been notified. Nothing was charged (" + header.Get("Credits-Charge") + ").",
	}, http.StatusBadGateway)
}
