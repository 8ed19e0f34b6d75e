package meter

import (
	"sync"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// calibration learns how many tokens each model makes of a text, from what
// answers report: a tokenizer is not known for every model, and changes. It
// changes holds, and what is charged where nothing is reported; never a charge
// whose answer says what it used. It lives as long as the process.
type calibration struct {
	mu     sync.Mutex
	models map[string]*drift
	unseen map[string]bool  // models whose answers held tokens that were not text
	hidden map[string]int64 // of an answer, on average: tokens that were not text, in 1/16
}

// drift is how far estimates of a model are off: reported ÷ estimated, in
// 1/1024. As for the timeouts of TCP (RFC 6298) both the mean and the mean
// deviation are smoothed, so that mean + 2 deviations covers nearly all.
type drift struct{ seen, mean, deviation int64 }

const (
	unity = 1024
	// An estimate is at most halved or doubled, whatever the answers say.
	leastFactor, mostFactor = unity / 2, unity * 2
	// Before this many answers the estimator's own factor stands.
	calibrateAfter = 50
	smoothing      = 16
	// Shorter texts are mostly framing, which differs in other ways.
	leastText = 64
	// The names of models come from clients, and price files have patterns.
	calibratedModels = 1000
)

// sees takes in what an answer was made of.
func (c *calibration) sees(model string, t *pricing.Tokens) {
	if t[pricing.Reasoning]+t[pricing.AudioOutput]+t[pricing.ImageOutput]+t[pricing.VideoOutput] == 0 || len(model) > 200 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unseen == nil || len(c.unseen) >= calibratedModels {
		c.unseen = map[string]bool{}
	}
	c.unseen[model] = true
}

// thinks takes in how many tokens an answer used that nobody saw in it.
func (c *calibration) thinks(model string, n int64) {
	if len(model) > 200 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	mean, known := c.hidden[model]
	switch {
	case !known && n == 0:
		return
	case !known && (c.hidden == nil || len(c.hidden) >= calibratedModels):
		c.hidden = map[string]int64{}
	}
	if !known {
		mean = n * smoothing
	}
	c.hidden[model] = mean + n - mean/smoothing
}

// usuallyHidden is how many tokens nobody sees in an answer of a model, on
// average.
func (c *calibration) usuallyHidden(model string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hidden[model] / smoothing
}

// hides reports whether answers of a model have held tokens that were not text.
func (c *calibration) hides(model string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unseen[model]
}

// learn takes in what an answer reports. Input that the request only refers to,
// and media, say nothing about its text.
func (c *calibration) learn(model string, e dialect.InputEstimate, reported int64) {
	if e.Text < leastText || e.Medias > 0 || e.Hidden || reported <= 0 || len(model) > 200 {
		return
	}
	ratio := min(max(min(reported, e.Bytes)*unity/(e.Text+e.Overhead), leastFactor/2), mostFactor*2)
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.models[model]
	if d == nil {
		if c.models == nil {
			c.models = map[string]*drift{}
		}
		if len(c.models) >= calibratedModels {
			c.forget()
		}
		d = &drift{mean: ratio, deviation: ratio / 8}
		c.models[model] = d
	}
	d.seen++
	off := ratio - d.mean
	d.mean += off / smoothing
	d.deviation += (max(off, -off) - d.deviation) / smoothing
}

// forget makes room: of a few models, the one that was seen least.
func (c *calibration) forget() {
	const look = 16
	least, name, n := int64(0), "", 0
	for model, d := range c.models {
		if n == 0 || d.seen < least {
			least, name = d.seen, model
		}
		if n++; n == look {
			break
		}
	}
	delete(c.models, name)
}

// tokens is the estimate of an input, corrected for the model; at most a token
// for each byte of text.
func (c *calibration) tokens(model string, e dialect.InputEstimate) int64 {
	factor := c.factor(model)
	text := e.Text
	if factor != unity {
		text = min((e.Text*factor+unity-1)/unity, max(e.Bytes, e.Text))
	}
	return text + e.Media + e.Overhead
}

func (c *calibration) factor(model string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.models[model]
	if d == nil || d.seen < calibrateAfter {
		return unity
	}
	return min(max(d.mean+2*d.deviation, leastFactor), mostFactor)
}
