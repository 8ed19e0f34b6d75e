package ledger

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// scripted are commands with fixed figures, for sequences of all of them.
var scripted = []struct {
	name string
	do   func(s *sim)
}{
	{"hold 60", func(s *sim) { s.scriptedHold(60) }},
	{"hold 500", func(s *sim) { s.scriptedHold(500) }},
	{"settle below", func(s *sim) { s.scriptedSettle(25) }},
	{"settle above", func(s *sim) { s.scriptedSettle(590) }},
	{"release", func(s *sim) {
		if id, ok := pick(s, s.open); ok {
			delete(s.open, id)
			s.must(Release{Charge: id, Failed: true})
			s.naive.Release(string(id))
		}
	}},
	{"refund", func(s *sim) {
		id, ok := pick(s, s.charges)
		if !ok {
			return
		}
		left := s.charges[id].Net()
		s.must(Refund{Charge: id})
		s.naive.Refund(string(id), int64(left))
	}},
	{"pack", func(s *sim) {
		s.n++
		id := GrantID("gr_" + strings.Repeat("i", s.n))
		day := calendar.Duration{Count: 1, Unit: calendar.Day}
		s.must(Give{Grant: id, Type: "top_up", Amount: 70, Paid: true, Expires: day})
		s.given[id] = s.naive.Give("top_up", 70, true, day.After(s.now, s.terms.Zone))
	}},
	{"a day", func(s *sim) { s.now = s.now.Add(25 * time.Hour) }},
	{"a month", func(s *sim) { s.now = s.now.Add(31 * 24 * time.Hour) }},
	{"plan keep", func(s *sim) { s.must(SetPlan{Plan: "keep"}); s.naive.SetPlan("keep", false, time.Time{}) }},
	{"plan over", func(s *sim) { s.must(SetPlan{Plan: "over"}); s.naive.SetPlan("over", false, time.Time{}) }},
	{"plan half", func(s *sim) { s.must(SetPlan{Plan: "half"}); s.naive.SetPlan("half", false, time.Time{}) }},
}

func (s *sim) scriptedHold(amount money.Amount) {
	s.n++
	id := ChargeID("ch_" + strings.Repeat("i", s.n))
	_, err := s.do(reserveOf(string(id), amount))
	s.agree("reserve", err == nil, s.naive.Reserve(string(id), "", "", false, nil, int64(amount)))
	if err == nil {
		s.open[id] = true
	}
}

func (s *sim) scriptedSettle(cost money.Amount) {
	if id, ok := pick(s, s.open); ok {
		delete(s.open, id)
		s.must(Settle{Charge: id, Cost: cost})
		s.naive.Settle(string(id), int64(cost))
	}
}

// TestSmallScope runs all sequences of up to four commands (FAREBOX_LONG: five)
// and compares each with the naive model.
func TestSmallScope(t *testing.T) {
	length := 4
	switch {
	case os.Getenv("FAREBOX_LONG") != "":
		length = 5
	case testing.Short():
		length = 3
	}
	sequences := 0
	var walk func(prefix []int)
	walk = func(prefix []int) {
		if len(prefix) == length {
			sequences++
			runScript(t, prefix)
			return
		}
		for i := range scripted {
			walk(append(prefix, i))
		}
	}
	walk(nil)
	t.Logf("%d sequences of %d commands", sequences, length)
}

func runScript(t *testing.T, script []int) {
	s := newSimOn(t, testTerms(), "basic", 1, 1)
	for n, i := range script {
		s.naive.Pass(s.now)
		problem := s.guard(func() { scripted[i].do(s) })
		if problem == nil {
			continue
		}
		var names []string
		for _, j := range script[:n+1] {
			names = append(names, scripted[j].name)
		}
		t.Fatalf("%s: %v", strings.Join(names, ", "), problem)
	}
	s.prove()
}
