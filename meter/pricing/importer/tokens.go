package importer

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// tokenFields are the prices of one token, by the stem of their field.
var tokenFields = map[string]pricing.Kind{
	"input_cost_per_token":                      pricing.Input,
	"cache_read_input_token_cost":               pricing.CachedInput,
	"input_cost_per_token_cache_hit":            pricing.CachedInput, // DeepSeek's word for it
	"cache_creation_input_token_cost":           pricing.CacheWrite,
	"cache_creation_input_token_cost_above_1hr": pricing.CacheWrite1h,
	"input_cost_per_audio_token":                pricing.AudioInput,
	"input_cost_per_image_token":                pricing.ImageInput,
	"input_cost_per_video_token":                pricing.VideoInput,
	"cache_read_input_audio_token_cost":         pricing.CachedAudioInput,
	"output_cost_per_token":                     pricing.Output,
	"output_cost_per_reasoning_token":           pricing.Reasoning,
	"output_cost_per_audio_token":               pricing.AudioOutput,
	"output_cost_per_image_token":               pricing.ImageOutput,
	"output_cost_per_video_token":               pricing.VideoOutput,
	"citation_cost_per_token":                   pricing.Citation,
}

// variant is when a price applies: above so many input tokens, in a service tier.
type variant struct {
	above int64
	tier  string
}

var fieldForm = regexp.MustCompile(`^(.+?)(?:_above_([0-9]{1,9})k_tokens)?(?:_(flex|priority))?$`)

// tokenField takes a field's name apart: "input_cost_per_token_above_200k_tokens_priority".
func tokenField(name string) (k pricing.Kind, v variant, ok bool) {
	m := fieldForm.FindStringSubmatch(name)
	if m == nil {
		return 0, v, false
	}
	if k, ok = tokenFields[m[1]]; !ok {
		return 0, v, false
	}
	if m[2] != "" {
		thousands, _ := strconv.ParseInt(m[2], 10, 64) // at most nine digits
		v.above = thousands * 1000
	}
	v.tier = m[3]
	return k, v, true
}

func (v variant) when() string {
	switch {
	case v.above > 0 && v.tier != "":
		return fmt.Sprintf("input_tokens: {above: %s}, service_tier: %s", digits(v.above), v.tier)
	case v.above > 0:
		return fmt.Sprintf("input_tokens: {above: %s}", digits(v.above))
	}
	return "service_tier: " + v.tier
}

// compare orders rows so that the last one that holds is the most specific:
// tiers, then long context, then long context in a tier.
func (v variant) compare(w variant) int {
	return cmp.Or(cmp.Compare(v.rank(), w.rank()), cmp.Compare(v.above, w.above), cmp.Compare(v.tier, w.tier))
}

func (v variant) rank() int {
	switch {
	case v.above == 0:
		return 0
	case v.tier == "":
		return 1
	}
	return 2
}

// variants collects token prices by when they apply.
type variants map[variant]*[pricing.NumKinds]*money.Decimal

func (vs variants) set(v variant, k pricing.Kind, d money.Decimal) (was *money.Decimal) {
	if vs[v] == nil {
		vs[v] = new([pricing.NumKinds]*money.Decimal)
	}
	if was = vs[v][k]; was == nil {
		vs[v][k] = &d
	}
	return was
}

// tokens writes down the token prices: the ordinary ones, then rows.
func (b *build) tokens(vs variants) {
	if plain := vs[variant{}]; plain != nil {
		b.base.tokens = *plain
	}
	b.fillCombinations(vs)
	b.dropLent()
	for _, v := range vs.ordered() {
		b.rows = append(b.rows, row{when: v.when(), rates: rates{tokens: *vs[v]}})
	}
}

// ordered are the variants in the order of their rows.
func (vs variants) ordered() []variant {
	order := make([]variant, 0, len(vs))
	for v := range vs {
		if v != (variant{}) {
			order = append(order, v)
		}
	}
	slices.SortFunc(order, variant.compare)
	return order
}

// fillCombinations settles what a long prompt costs in a tier if the table only
// has a price for each alone: the dearer one. The order of the rows would
// otherwise make a priority request cheaper by being long.
func (b *build) fillCombinations(vs variants) {
	order := vs.ordered()
	for _, long := range order {
		for _, tiered := range order {
			if long.rank() != 1 || tiered.rank() != 0 {
				continue
			}
			both := variant{long.above, tiered.tier}
			for k := range pricing.NumKinds {
				l, t := vs[long][k], vs[tiered][k]
				if l == nil || t == nil || vs[both] != nil && vs[both][k] != nil || l.Cmp(*t) >= 0 {
					continue
				}
				vs.set(both, k, *t)
				b.note(k.String(), "no price for %s above %s input tokens; the dearer of the two is taken", both.tier, digits(both.above))
			}
		}
	}
}

// dropLent leaves out a kind that costs what its parent costs. It then follows
// its parent in every row, as it does on the providers' pages: reasoning is
// output, in a long context too.
func (b *build) dropLent() {
	plain := b.base.tokens
	for k := range pricing.NumKinds {
		from := k.Lender()
		if from != k && plain[k] != nil && plain[from] != nil && plain[k].Cmp(*plain[from]) == 0 {
			b.base.tokens[k] = nil
		}
	}
}
