package pricing

import (
	"math"

	"github.com/farebox-dev/farebox/meter/money"
)

// Kind is a kind of token, as providers print them on their price pages.
type Kind uint8

// The kinds of tokens: first those of the input side, then those of the output.
const (
	Input Kind = iota
	CachedInput
	CacheWrite
	CacheWrite1h
	AudioInput
	ImageInput
	VideoInput
	CachedAudioInput
	Output
	Reasoning
	AudioOutput
	ImageOutput
	VideoOutput
	Citation
	NumKinds
)

var kindNames = [NumKinds]string{
	"input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "image_input", "video_input",
	"cached_audio_input", "output", "reasoning", "audio_output", "image_output", "video_output", "citation",
}

// lender is the kind whose rate a kind without one has. Input and Output lend
// from themselves: without a rate they cost nothing.
var lender = [NumKinds]Kind{
	CachedInput: Input, CacheWrite: Input, CacheWrite1h: CacheWrite, AudioInput: Input, ImageInput: Input,
	VideoInput: Input, CachedAudioInput: AudioInput,
	Output: Output, Reasoning: Output, AudioOutput: Output, ImageOutput: Output, VideoOutput: Output, Citation: Output,
}

// String is the kind's name in the price file: "cached_input".
func (k Kind) String() string {
	if k >= NumKinds {
		return "unknown"
	}
	return kindNames[k]
}

// Lender is the kind whose rate this kind has if it has none of its own; itself for input and output.
func (k Kind) Lender() Kind { return lender[k] }

// IsOutput reports whether the kind belongs to the output side.
func (k Kind) IsOutput() bool { return k >= Output }

// KindByName is the kind with this name in the price file.
func KindByName(name string) (Kind, bool) {
	for k := range NumKinds {
		if kindNames[k] == name {
			return k, true
		}
	}
	return 0, false
}

// KindNames are the names of all kinds, as the price file has them.
func KindNames() []string { return kindNames[:] }

// Tokens are disjoint counts: no token is in two of them.
type Tokens [NumKinds]int64

// InputSide is the whole prompt, cached parts included.
func (t *Tokens) InputSide() int64 { return t.sum(Input, Output) }

// OutputSide is the whole answer, reasoning included.
func (t *Tokens) OutputSide() int64 { return t.sum(Output, NumKinds) }

func (t *Tokens) sum(from, to Kind) int64 {
	var n int64
	for k := from; k < to; k++ {
		if t[k] > math.MaxInt64-n {
			return math.MaxInt64 // as large as can be instead of overflowing
		}
		n += max(t[k], 0)
	}
	return n
}

// UnitCount is how much of a unit an answer reports: 3 "image", 12.5 "second".
type UnitCount struct {
	Unit  string
	Count money.Decimal
}

// Usage is what an answer reports, or what an estimator expects.
type Usage struct {
	Tokens Tokens
	Units  []UnitCount
}

// Unit is the reported count of a unit.
func (u *Usage) Unit(name string) (money.Decimal, bool) {
	if u == nil {
		return money.Decimal{}, false
	}
	for i := range u.Units {
		if u.Units[i].Unit == name {
			return u.Units[i].Count, true
		}
	}
	return money.Decimal{}, false
}

func fromCount(n int64) money.Decimal {
	return money.FromInt(uint64(max(n, 0))) //nolint:gosec // not negative
}
