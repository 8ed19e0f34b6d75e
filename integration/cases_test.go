package integration

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/farebox-dev/farebox/meter/money"
)

// usageCase is one folder of testdata/cases/usage; its README names the files.
type usageCase struct {
	dir             string
	method, uri     string
	header          []string // names and values
	body, answer    string
	Status          int    `json:"upstream_status"`
	ContentType     string `json:"upstream_content_type"`
	Charge          string `json:"expected_charge"`
	Estimated       bool   `json:"expected_estimated"`
	WantStatus      int    `json:"expected_status"`
	MustNotSee      string `json:"client_must_not_see"`
	Accepts         string `json:"upstream_accepts"`
	Called          *bool  `json:"upstream_called"`
	Balance         string `json:"balance"`
	ActualWhenFound string `json:"actual_charge_when_found"`
	Why             string
}

// Answers on which the charge was wrong once cost what they should, to the digit,
// and the client reads what was booked.
func TestUsageCases(t *testing.T) {
	folder := os.Getenv("FAREBOX_USAGE_CASES")
	if folder == "" {
		folder = "../testdata/cases/usage"
	}
	dirs, err := filepath.Glob(filepath.Join(folder, "*", "expected.json"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no cases in %s: %v", folder, err)
	}
	turns := make(chan struct{}, 4)
	for _, file := range dirs {
		c := readUsageCase(t, filepath.Dir(file))
		t.Run(filepath.Base(c.dir), func(t *testing.T) {
			t.Parallel()
			turns <- struct{}{}
			defer func() { <-turns }()
			c.run(t)
		})
	}
}

func readUsageCase(t *testing.T, dir string) *usageCase {
	t.Helper()
	c := &usageCase{dir: dir, body: read(t, filepath.Join(dir, "request.body"))}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dir, "expected.json"))), c); err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	first, rest, _ := strings.Cut(read(t, filepath.Join(dir, "request.txt")), "\n")
	c.method, c.uri, _ = strings.Cut(strings.TrimSpace(first), " ")
	for line := range strings.Lines(rest) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			c.header = append(c.header, strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
	if answers, _ := filepath.Glob(filepath.Join(dir, "upstream.*")); len(answers) == 1 {
		c.answer = read(t, answers[0])
	} else {
		t.Fatalf("%s: want one upstream.*, got %v", dir, answers)
	}
	return c
}

const shortStream = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"A tower with a lamp."},"finish_reason":"stop"}]}

data: [DONE]

`

// upstream answers as the case says and counts what reached it.
func (c *usageCase) upstream(called *atomic.Int64) http.HandlerFunc {
	rejected, picky := strings.CutPrefix(c.Accepts, "the same request without ")
	return func(w http.ResponseWriter, r *http.Request) {
		called.Add(1)
		body, _ := io.ReadAll(r.Body)
		if picky && !strings.Contains(string(body), rejected) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, shortStream)
			return
		}
		if c.ContentType != "" {
			w.Header().Set("Content-Type", c.ContentType)
		}
		if c.Status != 0 {
			w.WriteHeader(c.Status)
		}
		_, _ = io.WriteString(w, c.answer)
	}
}

func (c *usageCase) run(t *testing.T) {
	var called atomic.Int64
	prices := read(t, filepath.Join(c.dir, "pricing.yaml"))
	g := start(t, setup{
		prices:   func(string) string { return prices },
		upstream: func(http.Handler) http.Handler { return c.upstream(&called) },
	})
	balance := c.Balance
	if balance == "" {
		balance = "1000"
	}
	key := g.account("acme", balance)
	a := g.send(c.method, c.uri, c.body, append([]string{"Authorization", "Bearer " + key}, c.header...)...)

	want := c.WantStatus
	if want == 0 {
		want = c.Status
	}
	if want != 0 && a.StatusCode != want {
		t.Errorf("status %d, want %d: %.500s", a.StatusCode, want, a.body)
	}
	if c.Called != nil && *c.Called != (called.Load() > 0) {
		t.Errorf("the upstream was called %d times", called.Load())
	}
	if c.MustNotSee != "" && strings.Contains(a.body, c.MustNotSee) {
		t.Errorf("the client sees %s:\n%s", c.MustNotSee, a.body)
	}
	id := a.Header.Get("Credits-Charge")
	if id == "" {
		if c.Charge != "" || c.Estimated {
			t.Errorf("no charge was made; status %d: %.500s", a.StatusCode, a.body)
		}
		return
	}
	g.settled("acme")
	booked := g.charge("acme", id)
	if c.Charge != "" && !sameAmount(t, booked.Cost, c.Charge) {
		t.Errorf("charged %s (%s), want %s: %s", booked.Cost, booked.Usage, c.Charge, c.Why)
	}
	if c.Estimated && (!booked.Estimated || !less(t, c.ActualWhenFound, booked.Cost)) {
		t.Errorf("charged %s (%s), estimated %v; want an estimate above %s: %s", booked.Cost, booked.Usage, booked.Estimated, c.ActualWhenFound, c.Why)
	}
	if told := a.cost(); told != "" && !sameAmount(t, told, booked.Cost) || told == "" && a.StatusCode < 300 {
		t.Errorf("told %q, booked %s", told, booked.Cost)
	}
}

func decimal(t *testing.T, text string) money.Decimal {
	t.Helper()
	d, err := money.ParseDecimal(text)
	if err != nil {
		t.Fatalf("%q is no amount: %v", text, err)
	}
	return d
}

func sameAmount(t *testing.T, a, b string) bool {
	t.Helper()
	return decimal(t, a).Cmp(decimal(t, b)) == 0
}

func less(t *testing.T, a, b string) bool {
	t.Helper()
	return a == "" || decimal(t, a).Cmp(decimal(t, b)) < 0
}
