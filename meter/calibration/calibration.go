// Package calibration learns how many tokens each model makes of a text, and how
// many it uses that do not appear in its answers: a tokenizer is not known for
// every model, and changes. What it learns changes holds, and what is charged
// where an answer reports no usage; never a charge whose answer reports it.
package calibration

import (
	"sync"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Models is what was learned of each model since the process began. The zero
// value is ready; its methods are safe for concurrent use.
type Models struct {
	mu     sync.Mutex
	models map[string]*model
}

// model is what was learned of one. Like the timeouts of TCP (RFC 6298) it keeps
// a smoothed mean and a smoothed mean deviation of reported ÷ estimated input
// tokens, so that mean + 2 deviations covers nearly all answers.
type model struct {
	uses            int64 // of this record, learned or looked up
	answers         int64 // that the input was learned from
	mean, deviation int64 // in 1/1024
	unseen          bool  // an answer held tokens that were not text
	counted         bool  // hidden has a value
	hidden          int64 // tokens of an answer that were not text, on average, in 1/16
}

// MinAnswers is how many answers of a model are needed to correct its estimates.
const MinAnswers = 50

const (
	unity = 1024
	// An estimate is at most halved or doubled, whatever the answers report.
	minFactor, maxFactor = unity / 2, unity * 2
	smoothing            = 16
	// Shorter texts are mostly framing, which differs in other ways.
	minText = 64
	// Clients choose the names of models, and price files have patterns.
	maxModels  = 1000
	maxNameLen = 200
)

// LearnInput compares an estimate with the input tokens that the answer reports.
// Media, and input that the request only refers to, reveal nothing about text.
func (m *Models) LearnInput(name string, e dialect.InputEstimate, reported int64) {
	if e.Text < minText || e.Medias > 0 || e.Hidden || reported <= 0 {
		return
	}
	ratio := min(max(min(reported, e.Bytes)*unity/(e.Text+e.Overhead), minFactor/2), maxFactor*2)
	m.update(name, func(x *model) {
		if x.answers++; x.answers == 1 {
			x.mean, x.deviation = ratio, ratio/8
		}
		off := ratio - x.mean
		x.mean += off / smoothing
		x.deviation += (max(off, -off) - x.deviation) / smoothing
	})
}

// LearnOutput takes the tokens that an answer reports and those of the text that
// it delivered. complete: the report covers the whole answer.
func (m *Models) LearnOutput(name string, t *pricing.Tokens, delivered int64, complete bool) {
	unseen := t[pricing.Reasoning]+t[pricing.AudioOutput]+t[pricing.ImageOutput]+t[pricing.VideoOutput] > 0
	n := hidden(t, delivered)
	if !unseen && !complete || !unseen && n == 0 && !m.known(name) {
		return
	}
	m.update(name, func(x *model) {
		x.unseen = x.unseen || unseen
		if !complete || n == 0 && !x.counted {
			return
		}
		if !x.counted {
			x.counted, x.hidden = true, n*smoothing
		}
		x.hidden += n - x.hidden/smoothing
	})
}

// hidden is how many tokens of an answer did not appear in it: its reasoning or,
// for an API that reports none, what is far beyond what was delivered.
func hidden(t *pricing.Tokens, delivered int64) int64 {
	if t[pricing.Reasoning] > 0 {
		return t[pricing.Reasoning]
	}
	if n := t.OutputSide() - delivered; n > delivered+minText {
		return n
	}
	return 0
}

// Input is the estimate of an input in tokens, corrected for the model; at most
// one token for each byte of text.
func (m *Models) Input(name string, e dialect.InputEstimate) int64 {
	text := e.Text
	if factor := m.factor(name); factor != unity {
		text = min((e.Text*factor+unity-1)/unity, max(e.Bytes, e.Text))
	}
	return text + e.Media + e.Overhead
}

func (m *Models) factor(name string) int64 {
	x := m.read(name)
	if x.answers < MinAnswers {
		return unity
	}
	return min(max(x.mean+2*x.deviation, minFactor), maxFactor)
}

// HasUnseen reports whether answers of a model have held tokens that were not text.
func (m *Models) HasUnseen(name string) bool { return m.read(name).unseen }

// UsualHidden is how many tokens of an answer do not appear in it, on average.
func (m *Models) UsualHidden(name string) int64 { return m.read(name).hidden / smoothing }

func (m *Models) read(name string) model {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x := m.models[name]; x != nil {
		x.uses++
		return *x
	}
	return model{}
}

func (m *Models) known(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.models[name] != nil
}

// update changes what is known of a model, which may be new.
func (m *Models) update(name string, change func(*model)) {
	if len(name) > maxNameLen {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.models[name]
	if x == nil {
		if m.models == nil {
			m.models = map[string]*model{}
		}
		if len(m.models) >= maxModels {
			m.evict()
		}
		x = &model{}
		m.models[name] = x
	}
	x.uses++
	change(x)
}

// evict makes room: it removes the least used of a few models.
func (m *Models) evict() {
	const candidates = 16
	least, name, n := int64(0), "", 0
	for other, x := range m.models {
		if n == 0 || x.uses < least {
			least, name = x.uses, other
		}
		if n++; n == candidates {
			break
		}
	}
	delete(m.models, name)
}
