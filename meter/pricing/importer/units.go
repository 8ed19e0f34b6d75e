package importer

import (
	"encoding/json"
	"slices"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// unitFields are prices of something other than a token.
var unitFields = map[string]bool{
	"input_cost_per_request": true, "input_cost_per_query": true, "code_interpreter_cost_per_session": true,
	"input_cost_per_image": true, "output_cost_per_image": true, "input_cost_per_pixel": true, "output_cost_per_pixel": true,
	"input_cost_per_second": true, "output_cost_per_second": true, "output_cost_per_video_per_second": true,
	"input_cost_per_audio_per_second": true, "input_cost_per_video_per_second": true,
	"input_cost_per_character": true, "output_cost_per_character": true,
	"ocr_cost_per_page": true, "annotation_cost_per_page": true, "ocr_cost_per_credit": true,
}

// units writes down the prices that are not per token.
func (l *litellm) units() {
	l.one("input_cost_per_request", "request")
	l.one("input_cost_per_query", "query")
	l.one("code_interpreter_cost_per_session", "session")
	l.one("ocr_cost_per_page", "page")
	l.one("annotation_cost_per_page", "annotated_page")
	l.one("ocr_cost_per_credit", "ocr_credit")
	l.images()
	l.either("pixel", "input_cost_per_pixel", "output_cost_per_pixel")
	l.seconds()
	if !l.tokensInstead("input_cost_per_character", "output_cost_per_character") {
		l.either("character", "input_cost_per_character", "output_cost_per_character")
	}
}

func (l *litellm) one(field, unit string) {
	if d, ok := l.unitPrices[field]; ok && !d.IsZero() {
		l.base.unit(unit, d)
	}
}

// either: the table writes one price into the field of the input, of the output,
// or into both. It is one price all the same.
func (l *litellm) either(unit string, fields ...string) {
	var most money.Decimal
	for _, f := range fields {
		d := l.unitPrices[f]
		if !d.IsZero() && !most.IsZero() && d.Cmp(most) != 0 {
			l.note(f, "there are two prices per %s; the dearer one is taken", unit)
		}
		if d.Cmp(most) > 0 {
			most = d
		}
	}
	if !most.IsZero() {
		l.base.unit(unit, most)
	}
}

// tokensInstead: a model that counts tokens does not count the same text, sound
// or picture once more in another unit.
func (l *litellm) tokensInstead(fields ...string) bool {
	if !l.base.paysTokens() {
		return false
	}
	for _, f := range fields {
		if !l.unitPrices[f].IsZero() {
			l.note(f, "the same is counted in tokens already; the token price is taken")
		}
	}
	return true
}

func (l *litellm) images() {
	generates := l.mode == "image_generation" || l.mode == "image_edit"
	switch {
	case l.base.tokens[pricing.ImageOutput] != nil && !l.base.tokens[pricing.ImageOutput].IsZero():
		l.tokensInstead("output_cost_per_image", "input_cost_per_image")
	case !l.unitPrices["output_cost_per_image"].IsZero():
		l.one("output_cost_per_image", "image")
		if !l.unitPrices["input_cost_per_image"].IsZero() {
			l.note("input_cost_per_image", "pictures that are sent and pictures that are made are one unit; only the made ones are priced")
		}
	case generates || l.mode == "embedding":
		l.one("input_cost_per_image", "image")
	default:
		if !l.tokensInstead("input_cost_per_image") {
			l.one("input_cost_per_image", "image")
		}
	}
}

func (l *litellm) seconds() {
	plain := []string{"input_cost_per_second", "output_cost_per_second", "output_cost_per_video_per_second"}
	switch l.mode {
	case "chat", "completion", "embedding":
		for _, f := range plain {
			if _, ok := l.unitPrices[f]; ok {
				l.note(f, "reserved capacity costs by time, not by request")
			}
		}
	default:
		if !l.tokensInstead(plain...) {
			l.either("second", plain...)
		}
	}
	if !l.tokensInstead("input_cost_per_audio_per_second", "input_cost_per_video_per_second") {
		l.one("input_cost_per_audio_per_second", "audio_second")
		l.one("input_cost_per_video_per_second", "video_second")
	}
}

// elements are those of a JSON list.
func elements(text []byte) (list []json.RawMessage, err error) {
	err = json.Unmarshal(text, &list)
	return list, err
}

// Measured are the units that entries are priced by, sorted.
func (t *Table) Measured() []string {
	var units []string
	for _, e := range t.Entries {
		for _, u := range e.base.units {
			if u.Unit != "request" && !slices.Contains(units, u.Unit) {
				units = append(units, u.Unit)
			}
		}
	}
	slices.Sort(units)
	return units
}
