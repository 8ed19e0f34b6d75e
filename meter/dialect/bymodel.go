package dialect

import (
	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// ModelUsage is what one of several models used.
type ModelUsage struct {
	Model string // "" is the model of the answer
	Usage Usage
}

// modelCounts are the counts of one model, as reported.
type modelCounts struct {
	model string
	counts
}

// addTo adds counts to those of a model.
func addTo(list []modelCounts, model string, c *counts) []modelCounts {
	for i := range list {
		if list[i].model == model {
			list[i].add(c)
			return list
		}
	}
	return append(list, modelCounts{model, *c})
}

// add sums counts; what is in neither stays absent.
func (c *counts) add(more *counts) {
	for i, n := range more.c {
		if n.OK {
			c.c[i] = Count{min(c.c[i].N+n.N, maxCount), true}
		}
	}
	c.bad = c.bad || more.bad
}

// addTurn adds what one turn of a socket, or one line of a batch, has used.
func (r *Reader) addTurn(at *place, data, usage []byte) {
	p := r.api.profile
	var fresh counts
	if !fresh.read(usage, p.fields, at.except) || fresh.bad {
		return
	}
	model := r.transcriber
	if !at.apart {
		r.counts.add(&fresh)
		model = r.model
		if m := jsonscan.Content(jsonscan.Get(data, at.base+"model")); len(m) > 0 {
			model = string(m)
			r.model = model
		}
	}
	r.models = addTo(r.models, model, &fresh)
	r.apart = r.apart || at.apart
	if tier := jsonscan.Content(jsonscan.Get(data, at.base+"service_tier")); tier != nil {
		r.tier = string(tier)
	}
}

// members adds up a list of usages by their models (Anthropic's iterations). It reports nothing if the list has less than the
// totals: then it does not explain them.
func (c *counts) members(list []byte, fields []field) []modelCounts {
	if len(list) == 0 || list[0] != '[' {
		return nil
	}
	var models []modelCounts
	var all counts
	gjson.ParseBytes(list).ForEach(func(_, item gjson.Result) bool {
		var one counts
		one.read([]byte(item.Raw), fields, nil)
		all.add(&one)
		models = addTo(models, item.Get("model").Str, &one)
		return true
	})
	less := false
	for i, n := range all.c {
		if i != int(cCacheWrite) && n.OK && n.N < c.c[i].N {
			less = true
		}
		if n.OK && n.N > c.c[i].N {
			c.c[i] = n
		}
	}
	c.bad = c.bad || all.bad
	if less {
		return nil
	}
	return models
}

// byModel is the usage of each model, if there is more than one. What is counted by the answer alone, such as web searches, is
// the first one's.
func (r *Reader) byModel() []ModelUsage {
	if len(r.models) < 2 && !r.apart {
		return nil
	}
	list := make([]ModelUsage, 0, len(r.models))
	for i := range r.models {
		c := r.models[i].counts
		if i == 0 && !r.apart {
			for k := cWebSearch; k < numCounts; k++ {
				if r.counts.c[k].OK {
					c.c[k] = r.counts.c[k]
				}
			}
		}
		list = append(list, ModelUsage{r.models[i].model, r.api.profile.usageOf(&c)})
	}
	return list
}
