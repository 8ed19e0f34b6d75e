package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

// printed is what a command writes to stdout and stderr.
func printed(t *testing.T, run func() error) (out, diagnostics string, err error) {
	t.Helper()
	was, wasErr := os.Stdout, os.Stderr
	defer func() { os.Stdout, os.Stderr = was, wasErr }()
	file := func(name string) *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	os.Stdout, os.Stderr = file("out"), file("err")
	err = run()
	read := func(f *os.File) string {
		defer f.Close()
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return read(os.Stdout), read(os.Stderr), err
}

// meterCommand runs "farebox meter prices …".
func meterCommand(t *testing.T, c *cli, args ...string) (out, diagnostics string, err error) {
	t.Helper()
	cmd := c.pricesCommands()
	cmd.SetArgs(args)
	return printed(t, cmd.Execute)
}

func written(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const smallTable = `{
  "gpt-5-mini": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-07, "cache_read_input_token_cost": 2.5e-08, "output_cost_per_token": 1.8e-06, "max_output_tokens": 128000},
  "gpt-9": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06, "input_cost_per_token_batches": 5e-07},
  "other": {"litellm_provider": "acme", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06}
}`

func TestImportCommand(t *testing.T) {
	file := written(t, "prices.json", smallTable)
	out, notes, err := meterCommand(t, &cli{table: true}, "import", "litellm", file, "--provider", "openai", "--models", "gpt-*")
	want := "# From prices.json: 2 models, 1 USD = 1 credit.\nmodels:\n" +
		"  gpt-5-mini: {per_1m_tokens: {input: 0.25, cached_input: 0.025, output: 1.8}, max_output_tokens: 128_000}\n" +
		"  gpt-9: {per_1m_tokens: {input: 1, output: 4}}\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	if !strings.Contains(notes, "gpt-9  input_cost_per_token_batches: ") || !strings.HasSuffix(notes, "1 note: input_cost_per_token_batches ×1\n") {
		t.Errorf("notes:\n%s", notes)
	}
	out, _, err = meterCommand(t, &cli{table: true}, "import", "litellm", file, "--against", "../pricing.yaml")
	for _, want := range []string{
		"changed  models gpt-5-mini  output per 1M: 200 → 180 (−10%)", "added    models gpt-9: 100 per 1M input tokens, 400 per 1M output tokens",
		"missing  models gpt-5.4: not in the table", "1 USD = 100 credits",
	} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("no %q (%v) in\n%s", want, err, out)
		}
	}
	for _, args := range [][]string{{"--models", "none*"}, {"--credits-per-usd", "many"}, {"--against", file}} {
		if _, _, err := meterCommand(t, &cli{table: true}, append([]string{"import", "litellm", file}, args...)...); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

// served is the operator's API of a running app, for commands.
func served(t *testing.T, a *App) *cli {
	t.Helper()
	s := httptest.NewServer(&operator{m: a.engine.Meter, reload: a.reloadPrices})
	t.Cleanup(s.Close)
	return &cli{address: strings.TrimPrefix(s.URL, "http://"), table: true, prices: a.file}
}

// TestReplay charges real requests, then asks what another file would have made of them.
func TestReplay(t *testing.T) {
	a, key := running(t)
	s := serve(t, &Handler{app: a}, func(w http.ResponseWriter, r *http.Request) error { return answered(w, "application/json", reply) })
	for range 4 { // 9 credits each of 100
		if res, body, err := ask(t, s, key, hello); err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(err, body)
		}
	}
	post(t, s, key, "/v1/images", `{"prompt":"a pier","quality":"hd"}`) // 48, and what was asked for is not in the journal
	spent(t, a)
	text, err := os.ReadFile("../pricing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := written(t, "new.yaml", strings.NewReplacer("{input: 1, output: 8}", "{input: 1, output: 20}", "per_image: 24", "per_image: 20", "amount: 100,", "amount: 120,").Replace(string(text)))
	out, diagnostics, err := meterCommand(t, served(t, a), "diff", file, "--replay", "30d")
	if err != nil {
		t.Fatal(err, diagnostics)
	}
	for _, want := range []string{
		"changed  operations image  per image: 24 → 20 (−16.6%)", "changed  models demo-*  output per 1M: 8000 → 20000 (+150%)",
		"5 charges in 30 days priced again", "chat        demo-small   4         36        84           +48",
		"image       –            1         48        40           −8", "together +40 credits",
		"402  acme would have been refused 1 time, first at ", "Not replayed: changed  plans free  credits[0].amount: 100 → 120",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out, _, err = meterCommand(t, served(t, a), "diff", a.file)
	if err != nil || !strings.Contains(out, "nothing is different") {
		t.Errorf("%v %s", err, out)
	}
	if _, diagnostics, err := meterCommand(t, served(t, a), "diff", file, "--replay", "a month"); err == nil || !strings.Contains(diagnostics, "such as 30d") {
		t.Error(err, diagnostics)
	}
}

// Without a server the journal is read from the data directory.
func TestReplayOffline(t *testing.T) {
	dir := t.TempDir()
	a := provisioned(t, dir)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.engine.Accounts.Create(t.Context(), "acme", "", ""); err != nil {
		t.Fatal(err)
	}
	charge, err := a.engine.Admit(t.Context(), &meter.Request{
		Method: "POST", URI: "/v1/chat/completions", Body: []byte(hello), ContentType: "application/json", Caller: meter.Caller{Account: "acme"},
	})
	if err != nil {
		t.Fatal(err)
	}
	charge.Begin(http.StatusOK, http.Header{"Content-Type": {"application/json"}})
	if _, err := charge.Observe(t.Context(), []byte(reply)); err != nil {
		t.Fatal(err)
	}
	charge.End()
	charge.Settle(meter.Answered, nil)
	if err := errors.Join(a.Stop(), a.Cleanup()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	file := written(t, "new.yaml", strings.Replace(string(text), "{input: 1, output: 8}", "{input: 2, output: 8}", 1))
	c := &cli{address: "127.0.0.1:1", data: dir, prices: a.file, table: true}
	out, diagnostics, err := meterCommand(t, c, "diff", file, "--replay", "1 day")
	if err != nil || !strings.Contains(out, "chat        demo-small   1         9         10           +1") {
		t.Errorf("%v %s\n%s", err, diagnostics, out)
	}
	c.data = ""
	if _, diagnostics, err = meterCommand(t, c, "diff", file); err == nil || !strings.Contains(diagnostics, "--against <file>") {
		t.Errorf("%v %s", err, diagnostics)
	}
}

func post(t *testing.T, s *httptest.Server, key, path, body string) {
	t.Helper()
	answers(t, s, key, path, body, http.StatusOK)
}

// answers posts a request and expects a status.
func answers(t *testing.T, s *httptest.Server, key, path, body string, want int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != want {
		t.Fatalf("%s: %s, want %d: %s", path, res.Status, want, b)
	}
}

func TestMaxChange(t *testing.T) {
	a, _ := running(t)
	text, err := os.ReadFile("../pricing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a.file, a.MaxChange = written(t, "pricing.yaml", strings.Replace(string(text), "{input: 25, ", "{input: 2.5, ", 1)), "50%"
	c := served(t, a)
	before, _ := a.engine.Book()
	_, diagnostics, err := meterCommand(t, c, "reload")
	if after, _ := a.engine.Book(); err == nil || after != before {
		t.Errorf("the price file is in force: %v", err)
	}
	for _, diagnostics := range []string{diagnostics, reloadError(t, a)} {
		for _, want := range []string{"changes 1 price by more than max_change 50%", "models gpt-5-mini  input per 1M: 25 → 2.5 (−90%)", "farebox meter prices reload --force"} {
			if !strings.Contains(diagnostics, want) {
				t.Errorf("no %q in %s", want, diagnostics)
			}
		}
	}
	if _, diagnostics, err := meterCommand(t, c, "reload", "--force"); err != nil {
		t.Fatal(err, diagnostics)
	}
	if after, _ := a.engine.Book(); after == before {
		t.Error("--force does not reload")
	}
	// A configuration that comes with such a file is refused, too.
	next := provisioned(t, t.TempDir())
	next.store, next.MaxChange = a.store, "50%"
	if err := next.Start(); err == nil || !strings.Contains(err.Error(), "max_change") {
		t.Errorf("a reload of the configuration: %v", err)
	}
	if err := next.Cleanup(); err != nil {
		t.Error(err)
	}
}

// reloadError is what the operator's API says to a reload without force.
func reloadError(t *testing.T, a *App) string {
	t.Helper()
	w := httptest.NewRecorder()
	(&operator{m: a.engine.Meter, reload: a.reloadPrices}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/meter/prices/reload", http.NoBody))
	var e api.ErrorBody
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return e.Error
}

// TestScenario plays the documented example.
func TestScenario(t *testing.T) {
	out, _, err := meterCommand(t, &cli{table: true}, "simulate", "../docs/scenario.yaml")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(docs, []byte(out)) {
		t.Errorf("docs/cli.md does not show\n%s", out)
	}
}

func TestBadScenarios(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"days: 0\naccounts: []", "days: 0; write 1 to"},
		{"days: 1", "accounts: has none"},
		{"days: 1\nday: 2", "day"},
		{"days: 1\nstart: soon\naccounts: [{}]", `start: "soon" is not a day`},
		{"days: 1\naccounts: [{name: a}]", "requests has at least one entry"},
		{"days: 1\naccounts: [{requests: [{per_day: 0, request: GET /}]}]", "per_day: 0"},
		{"days: 1\naccounts: [{requests: [{per_day: 1, request: images}]}]", `request: "images"; write it as`},
		{"days: 1\naccounts: [{requests: [{per_day: 1, request: GET /, on: [monday]}]}]", `on: "monday"`},
		{"days: 900\naccounts: [{requests: [{per_day: 900, request: GET /}]}]", "too many to play"},
	} {
		if _, err := readScenario(written(t, "s.yaml", tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
}

// Overage, refusals and unknown plans in a scenario.
func TestScenarioEnds(t *testing.T) {
	book, problems := pricefile.Load("p.yaml", []byte(`version: 1
credit: {name: credit}
operations: {crop: {match: POST /crop, price: 5, tags: [ai]}}
plans:
  open: {credits: [{type: s, amount: 50, every: month}], when_empty: overage}
  shut: {credits: [{type: s, amount: 50, every: month}]}
  none: {deny: {tags: [ai]}}
`))
	if book == nil {
		t.Fatal(problems)
	}
	row := func(plan string) (*SimulatedMonth, []string) {
		s := &scenario{Days: 3, Accounts: []scenarioAccount{{Name: "a", Plan: plan, Count: 2, Requests: []scenarioRequest{{PerDay: 4, Request: "POST /crop"}}}}}
		if err := s.check(); err != nil {
			t.Fatal(err)
		}
		rows, reasons, err := s.play(t.Context(), book)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%s: %v %v", plan, rows, err)
		}
		return rows[0], reasons
	}
	if r, _ := row("open"); r.Credits != "120" || r.Overage != "20" || r.Denied != 0 || r.Requests != 24 {
		t.Errorf("open: %+v", r)
	}
	if r, _ := row("shut"); r.Credits != "100" || r.Overage != "0" || r.Denied != 4 {
		t.Errorf("shut: %+v", r)
	}
	if r, reasons := row("none"); r.Other != 24 || len(reasons) != 1 || !strings.Contains(reasons[0], "POST /crop: "+pricing.PlanDoesNotInclude) {
		t.Errorf("none: %+v %v", r, reasons)
	}
	s := &scenario{Days: 1, Accounts: []scenarioAccount{{Name: "a", Plan: "fre", Requests: []scenarioRequest{{PerDay: 1, Request: "POST /crop"}}}}}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.play(t.Context(), book); err == nil {
		t.Error("a plan that does not exist is played")
	}
}

// The last line of the message catalogue: which book goes on.
func TestRefusedReload(t *testing.T) {
	a, _ := running(t)
	b, since := a.engine.Book()
	a.file = written(t, "pricing.yaml", "version: 1\ncredit: {name: credit}\noperations:\n  a: {match: /a, prise: 1, price: 1}\nmarkup: 5\n")
	want := "pricing.yaml: 2 errors, 0 warnings – not loaded, still using the book of " + since.UTC().Format("2 Jan 15:04") + " (" + b.Digest[:4] + "…)"
	if got := reloadError(t, a); !strings.HasSuffix(got, want) || !strings.Contains(got, `pricing.yaml:4:18: operations.a: unknown key "prise"; did you mean "price"?`) {
		t.Errorf("got\n%s\nwant at its end\n%s", got, want)
	}
	if after, _ := a.engine.Book(); after != b {
		t.Error("it is in force")
	}
}

func TestCheckFormats(t *testing.T) {
	file := written(t, "pricing.yaml", "version: 1\ncredit: {name: credit}\noperations:\n  a: {match: /a, prise: 1, price: 5%}\n")
	c := &cli{table: true, address: "localhost:1"}
	out, _, err := meterCommand(t, c, "check", file, "--format", "github")
	escaped := strings.NewReplacer(":", "%3A", ",", "%2C").Replace(file)
	want := "::error file=" + escaped + `,line=4,col=18::operations.a: unknown key "prise"; did you mean "price"?` + "\n::error file=" + escaped + `,line=4,col=35::operations.a.price: "5%25" is not a number; write digits with at most one point` + "\n"
	if err == nil || out != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	out, _, err = meterCommand(t, c, "check", file, "--format", "json")
	var v CheckView
	if err == nil || json.Unmarshal([]byte(out), &v) != nil || len(v.Problems) != 2 || v.OK {
		t.Errorf("%v %s", err, out)
	}
	if _, diagnostics, err := meterCommand(t, c, "check", file, "--format", "xml"); err == nil || !strings.Contains(diagnostics, "write text, json or github") {
		t.Errorf("%v %s", err, diagnostics)
	}
}
