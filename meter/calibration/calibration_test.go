package calibration

import (
	"fmt"
	"testing"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/pricing"
)

var thousand = dialect.InputEstimate{Text: 1000, Bytes: 4000}

func learn(m *Models, name string, answers int, reported int64) {
	for range answers {
		m.LearnInput(name, thousand, reported)
	}
}

func TestFewAnswersCorrectNothing(t *testing.T) {
	var m Models
	learn(&m, "a", MinAnswers-1, 700)
	if n := m.Input("a", thousand); n != 1000 {
		t.Errorf("after %d answers 1000 tokens are estimated as %d", MinAnswers-1, n)
	}
	learn(&m, "a", 1, 700)
	if n := m.Input("a", thousand); n == 1000 {
		t.Errorf("after %d answers the estimate is not corrected", MinAnswers)
	}
}

func TestEstimatesApproachReports(t *testing.T) {
	var m Models
	learn(&m, "a", 300, 700)
	if n := m.Input("a", thousand); n < 700 || n > 750 {
		t.Errorf("answers report 700 tokens, estimated are %d", n)
	}
	if n := m.Input("b", thousand); n != 1000 {
		t.Errorf("another model's estimate has changed to %d", n)
	}
}

func TestNoisyReportsAreCovered(t *testing.T) {
	var m Models
	for i := range 400 {
		m.LearnInput("a", thousand, int64(900+10*(i%21)))
	}
	if n := m.Input("a", thousand); n < 1100 {
		t.Errorf("answers report up to 1100 tokens, estimated are %d", n)
	}
}

func TestAbsurdReportsAreBounded(t *testing.T) {
	for _, reported := range []int64{1, 1 << 60} {
		var m Models
		learn(&m, "a", 1000, reported)
		if n := m.Input("a", thousand); n < 500 || n > 2000 {
			t.Errorf("after reports of %d, 1000 tokens are estimated as %d", reported, n)
		}
		if n := m.Input("a", dialect.InputEstimate{Text: 1000, Bytes: 1500}); n > 1500 {
			t.Errorf("after reports of %d, 1500 bytes are estimated as %d tokens", reported, n)
		}
	}
}

func TestInputThatRevealsNothingIsIgnored(t *testing.T) {
	var m Models
	for _, e := range []dialect.InputEstimate{{Text: 10, Bytes: 40}, {Text: 1000, Bytes: 4000, Medias: 1}, {Text: 1000, Bytes: 4000, Hidden: true}} {
		m.LearnInput("a", e, 1)
		if m.known("a") {
			t.Errorf("learned from %+v", e)
		}
	}
	m.LearnInput("a", thousand, 0)
	if m.known("a") {
		t.Error("learned from a report of nothing")
	}
}

func TestModelsAreBounded(t *testing.T) {
	var m Models
	learn(&m, "popular", 100, 900)
	for i := range 3 * maxModels {
		m.LearnInput(fmt.Sprint("model-", i), thousand, 900)
	}
	if n := len(m.models); n != maxModels {
		t.Errorf("%d models are kept, want %d", n, maxModels)
	}
	if !m.known("popular") {
		t.Error("a model in use was evicted by names that came once")
	}
	long := fmt.Sprintf("%0*d", maxNameLen+1, 0)
	if m.LearnInput(long, thousand, 900); m.known(long) {
		t.Error("a name that is too long is kept")
	}
}

func TestUnseenOutput(t *testing.T) {
	var m Models
	text := &pricing.Tokens{pricing.Output: 50}
	if m.LearnOutput("text", text, 50, true); m.HasUnseen("text") {
		t.Error("an answer of text alone has unseen tokens")
	}
	for _, k := range []pricing.Kind{pricing.Reasoning, pricing.AudioOutput, pricing.ImageOutput, pricing.VideoOutput} {
		name := fmt.Sprint("kind-", k)
		var tokens pricing.Tokens
		tokens[k] = 1
		if m.LearnOutput(name, &tokens, 0, false); !m.HasUnseen(name) {
			t.Errorf("tokens of kind %v are not unseen", k)
		}
	}
}

func TestUsualHidden(t *testing.T) {
	for _, tt := range []struct {
		name      string
		tokens    pricing.Tokens
		delivered int64
		complete  bool
		want      int64
	}{
		{"reasoning that is reported", pricing.Tokens{pricing.Reasoning: 400, pricing.Output: 50}, 50, true, 400},
		{"far more than was delivered", pricing.Tokens{pricing.Output: 1000}, 100, true, 900},
		{"about what was delivered", pricing.Tokens{pricing.Output: 120}, 100, true, 0},
		{"a report that is not complete", pricing.Tokens{pricing.Output: 1000}, 100, false, 0},
	} {
		var m Models
		for range 40 {
			m.LearnOutput("a", &tt.tokens, tt.delivered, tt.complete)
		}
		if got := m.UsualHidden("a"); got != tt.want {
			t.Errorf("%s: %d hidden tokens, want %d", tt.name, got, tt.want)
		}
	}
}

func TestHiddenFollowsTheModel(t *testing.T) {
	var m Models
	for range 40 {
		m.LearnOutput("a", &pricing.Tokens{pricing.Reasoning: 400}, 0, true)
	}
	for range 200 {
		m.LearnOutput("a", &pricing.Tokens{pricing.Output: 50}, 50, true)
	}
	if n := m.UsualHidden("a"); n > 1 {
		t.Errorf("a model that no longer reasons still counts %d hidden tokens", n)
	}
}
