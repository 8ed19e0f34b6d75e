package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/farebox-dev/farebox/meter/pricing"
)

// scenario is what prices simulate plays: accounts and the requests that they
// make each day.
type scenario struct {
	Prices   string            `yaml:"prices"` // price file, relative to the scenario; default: --pricing
	Start    string            `yaml:"start"`  // first day; default 2026-01-01
	Days     int               `yaml:"days"`
	Accounts []scenarioAccount `yaml:"accounts"`

	start time.Time
}

// scenarioAccount stands for as many accounts as it counts: they all do the
// same, so one is played and multiplied.
type scenarioAccount struct {
	Name     string            `yaml:"name"`
	Plan     string            `yaml:"plan"`   // default: default_plan
	Count    int               `yaml:"count"`  // default 1
	TopUp    string            `yaml:"top_up"` // pack that is bought whenever a request gets 402
	Requests []scenarioRequest `yaml:"requests"`
}

// scenarioRequest is a request with the answer that the upstream gives.
type scenarioRequest struct {
	PerDay  int               `yaml:"per_day"`
	On      []string          `yaml:"on"`      // mon, tue, …; default: every day
	Request string            `yaml:"request"` // POST /v1/chat/completions
	Headers map[string]string `yaml:"headers"`
	Body    any               `yaml:"body"`
	Status  int               `yaml:"status"` // default 200
	Answer  any               `yaml:"answer"` // body of the answer

	method, path string
	body, answer []byte
	on           [7]bool
}

// A simulation is bounded: it is a question, not a load test.
const (
	maxScenarioDays     = 1_100
	maxScenarioRequests = 500_000
)

func readScenario(file string) (*scenario, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, err
	}
	s := new(scenario)
	if err := yaml.UnmarshalWithOptions(text, s, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if s.Prices != "" && !filepath.IsAbs(s.Prices) {
		s.Prices = filepath.Join(filepath.Dir(file), s.Prices)
	}
	return s, nil
}

func (s *scenario) check() (err error) {
	if s.Start == "" {
		s.Start = "2026-01-01"
	}
	if s.start, err = time.Parse(time.DateOnly, s.Start); err != nil {
		return fmt.Errorf("start: %q is not a day; write 2026-01-01", s.Start)
	}
	if s.Days < 1 || s.Days > maxScenarioDays {
		return fmt.Errorf("days: %d; write 1 to %d", s.Days, maxScenarioDays)
	}
	if len(s.Accounts) == 0 {
		return errors.New("accounts: has none; write - {name: team, plan: pro, requests: […]}")
	}
	total := 0
	for i := range s.Accounts {
		a := &s.Accounts[i]
		if a.Name == "" {
			a.Name = fmt.Sprintf("account-%d", i+1)
		}
		if a.Count == 0 {
			a.Count = 1
		}
		if a.Count < 0 || len(a.Requests) == 0 {
			return fmt.Errorf("accounts[%d]: count is at least 1, and requests has at least one entry", i)
		}
		for j := range a.Requests {
			if err := a.Requests[j].check(); err != nil {
				return fmt.Errorf("accounts[%d].requests[%d]: %w", i, j, err)
			}
			total += a.Requests[j].PerDay * s.Days
		}
	}
	if total > maxScenarioRequests {
		return fmt.Errorf("%d requests are too many to play, at most %d; use count for accounts that do the same, or fewer days", total, maxScenarioRequests)
	}
	return nil
}

func (r *scenarioRequest) check() (err error) {
	if r.PerDay < 1 || r.PerDay > 100_000 {
		return fmt.Errorf("per_day: %d; write 1 to 100000", r.PerDay)
	}
	var ok bool
	if r.method, r.path, ok = strings.Cut(r.Request, " "); !ok || !strings.HasPrefix(r.path, "/") {
		return fmt.Errorf("request: %q; write it as POST /v1/chat/completions", r.Request)
	}
	r.on = [7]bool{true, true, true, true, true, true, true}
	if len(r.On) > 0 {
		r.on = [7]bool{}
	}
	for _, day := range r.On {
		n := slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, day)
		if n < 0 {
			return fmt.Errorf("on: %q is not one of mon, tue, wed, thu, fri, sat, sun", day)
		}
		r.on[n] = true
	}
	if r.Status == 0 {
		r.Status = 200
	}
	if r.body, err = jsonOf(r.Body); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if r.answer, err = jsonOf(r.Answer); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

func jsonOf(v any) ([]byte, error) {
	if v == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(v)
}

// book is the scenario's price file, or the one that --pricing names.
func (s *scenario) book(otherwise string) (*pricing.Book, error) {
	if s.Prices != "" {
		return readBookFile(s.Prices)
	}
	return readBookFile(otherwise)
}
