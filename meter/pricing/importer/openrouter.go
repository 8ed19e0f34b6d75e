package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// openRouterTokens are the prices of one token, by field.
var openRouterTokens = map[string]pricing.Kind{
	"prompt": pricing.Input, "completion": pricing.Output, "input_cache_read": pricing.CachedInput, "input_cache_write": pricing.CacheWrite,
	"internal_reasoning": pricing.Reasoning, "audio": pricing.AudioInput, "input_audio_cache": pricing.CachedAudioInput,
	"audio_output": pricing.AudioOutput, "image_token": pricing.ImageInput, "image_output": pricing.ImageOutput,
}

// openRouterUnits are the prices of something else. A picture is one that is
// sent; a price file counts it where the operation measures "image".
var openRouterUnits = map[string]string{"request": "request", "image": "image", "web_search": "web_search"}

// OpenRouter reads the answer of OpenRouter's GET /models: prices are decimal
// texts, in USD per token.
func OpenRouter(text []byte, o Options) (*Table, error) {
	var answer struct {
		Data []struct {
			ID          string          `json:"id"`
			Pricing     json.RawMessage `json:"pricing"`
			TopProvider struct {
				MaxCompletionTokens json.Number `json:"max_completion_tokens"`
			} `json:"top_provider"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("not a list of models as GET /models answers: %w", err)
	}
	if len(answer.Data) == 0 {
		return nil, errors.New("no models in it; the list looks like {\"data\": [{\"id\": \"openai/gpt-5\", \"pricing\": {\"prompt\": \"0.00000125\", …}}]}")
	}
	t := &Table{names: map[string]bool{}}
	for _, m := range answer.Data {
		if t.names[m.ID] {
			return nil, fmt.Errorf("the model %q is there twice", m.ID)
		}
		t.names[m.ID] = true
		provider, _, _ := strings.Cut(m.ID, "/")
		if !o.wants(m.ID, provider) {
			continue
		}
		b := o.build(t, m.ID)
		if n, err := m.TopProvider.MaxCompletionTokens.Int64(); err == nil && n > 0 {
			b.maxOutput = n
		}
		b.openRouter(m.Pricing)
		b.finish()
	}
	return t, nil
}

func (b *build) openRouter(text []byte) {
	prices, err := members(text)
	if err != nil {
		b.note("pricing", "is not an object of prices")
		return
	}
	vs := variants{}
	for _, p := range prices {
		kind, isToken := openRouterTokens[p.key]
		unit, isUnit := openRouterUnits[p.key]
		switch {
		case p.null():
		case strings.HasPrefix(p.text(), "-"):
			b.note(p.key, "the price depends on the model that the router takes")
		case p.key == "discount":
			if d, err := money.ParseJSONNumber(p.text()); err != nil || !d.IsZero() {
				b.note(p.key, "a discount on the listed prices; it is not applied")
			}
		case isToken:
			if d, ok := b.price(p.key, p.text()); ok && b.tells(kind, d) {
				vs.set(variant{}, kind, d)
			}
		case isUnit:
			if d, ok := b.price(p.key, p.text()); ok && !d.IsZero() {
				b.base.unit(unit, d)
			}
		default:
			b.note(p.key, "has no place in a price file; write it as an adjust if it concerns you")
		}
	}
	b.tokens(vs)
}

// tells: "0" for anything but input and output means that the list has no such
// price, not that reasoning is free. It then costs what its parent costs.
func (b *build) tells(k pricing.Kind, d money.Decimal) bool {
	return k == pricing.Input || k == pricing.Output || !d.IsZero()
}
