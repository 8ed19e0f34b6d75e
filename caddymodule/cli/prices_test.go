package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/store/memory"
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

// pricesCommand runs "farebox meter prices …".
func pricesCommand(t *testing.T, c *cli, args ...string) (out, diagnostics string, err error) {
	t.Helper()
	return meterCommand(t, c, append([]string{"prices"}, args...)...)
}

// meterCommand runs "farebox meter …".
func meterCommand(t *testing.T, c *cli, args ...string) (out, diagnostics string, err error) {
	t.Helper()
	cmd := group("meter", "", c.commands()...)
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
	out, notes, err := pricesCommand(t, &cli{table: true}, "import", "litellm", file, "--provider", "openai", "--models", "gpt-*")
	want := "# From prices.json: 2 models, 1 USD = 1 credit.\nmodels:\n" +
		"  gpt-5-mini: {per_1m_tokens: {input: 0.25, cached_input: 0.025, output: 1.8}, max_output_tokens: 128_000}\n" +
		"  gpt-9: {per_1m_tokens: {input: 1, output: 4}}\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	if !strings.Contains(notes, "gpt-9  input_cost_per_token_batches: ") || !strings.HasSuffix(notes, "1 note: input_cost_per_token_batches ×1\n") {
		t.Errorf("notes:\n%s", notes)
	}
	out, _, err = pricesCommand(t, &cli{table: true}, "import", "litellm", file, "--against", "../../pricing.yaml")
	for _, want := range []string{
		"changed  models gpt-5-mini  output per 1M: 200 → 180 (−10%)", "added    models gpt-9: 100 per 1M input tokens, 400 per 1M output tokens",
		"missing  models gpt-5.4: not in the table", "1 USD = 100 credits",
	} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("no %q (%v) in\n%s", want, err, out)
		}
	}
	for _, args := range [][]string{{"--models", "none*"}, {"--credits-per-usd", "many"}, {"--against", file}} {
		if _, _, err := pricesCommand(t, &cli{table: true}, append([]string{"import", "litellm", file}, args...)...); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

// TestReplay charges real requests, then asks what another file would have made of them.
func TestReplay(t *testing.T) {
	g := newGateway(t, memory.New())
	for range 4 { // 9 credits each of 100
		g.charged("/v1/chat/completions", hello)
	}
	g.charged("/v1/images", `{"prompt":"a pier","quality":"hd"}`) // 48, and what was asked for is not in the journal
	text := shipped(t)
	file := written(t, "new.yaml", strings.NewReplacer("{input: 1, output: 8}", "{input: 1, output: 20}", "per_image: 24", "per_image: 20", "amount: 100,", "amount: 120,").Replace(string(text)))
	out, diagnostics, err := pricesCommand(t, g.cli(), "diff", file, "--replay", "30d")
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
	out, _, err = pricesCommand(t, g.cli(), "diff", shippedPrices)
	if err != nil || !strings.Contains(out, "nothing is different") {
		t.Errorf("%v %s", err, out)
	}
	if _, diagnostics, err := pricesCommand(t, g.cli(), "diff", file, "--replay", "a month"); err == nil || !strings.Contains(diagnostics, "such as 30d") {
		t.Error(err, diagnostics)
	}
}

// Without a server the journal is read from the data directory.
func TestReplayOffline(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s, err := badger.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, s)
	g.charged("/v1/chat/completions", hello)
	g.m.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text := shipped(t)
	file := written(t, "new.yaml", strings.Replace(string(text), "{input: 1, output: 8}", "{input: 2, output: 8}", 1))
	c := &cli{address: "127.0.0.1:1", data: dir, prices: shippedPrices, table: true}
	out, diagnostics, err := pricesCommand(t, c, "diff", file, "--replay", "1 day")
	if err != nil || !strings.Contains(out, "chat        demo-small   1         9         10           +1") {
		t.Errorf("%v %s\n%s", err, diagnostics, out)
	}
	c.data = ""
	if _, diagnostics, err = pricesCommand(t, c, "diff", file); err == nil || !strings.Contains(diagnostics, "--against <file>") {
		t.Errorf("%v %s", err, diagnostics)
	}
}

// T-7: a pattern silently prices a new model. The command lists the names
// each pattern has caught, by a report and by the check of the next price file.
func TestUnpriced(t *testing.T) {
	g := newGateway(t, memory.New())
	ultra := strings.Replace(hello, "demo-small", "demo-9-ultra", 1) // 9 credits, like a small one
	for range 2 {
		g.charged("/v1/chat/completions", ultra)
	}
	g.charged("/v1/images", `{"model":"any-image-model"}`) // not priced by its model
	for _, path := range []string{"/v1/assistants/asst_123/files", "/v1/assistants/asst_456/files"} {
		g.refused(path, "{}")
	}
	g.refused("/v1/chat/completions", strings.Replace(hello, "demo-small", "gpt-99", 1))
	var v api.UnpricedView
	if _, err := g.cli().ask(http.MethodGet, "/meter/prices/unpriced", "", nil, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Caught) != 1 || v.Caught[0].Entry != "demo-*" || v.Caught[0].Model != "demo-9-ultra" || v.Caught[0].Requests != 2 || v.Caught[0].Credits != "18" {
		t.Errorf("caught: %+v", v.Caught)
	}
	if len(v.Requests) != 2 || v.More != 0 {
		t.Fatalf("without a price: %+v", v.Requests)
	}
	if r := v.Requests[0]; r.Reason != "operation_not_priced" || r.Method != "POST" || r.Path != "/v1/assistants/*/files" || r.Count != 2 {
		t.Errorf("first: %+v", r)
	}
	if r := v.Requests[1]; r.Reason != "model_not_priced" || r.Model != "gpt-99" || r.Count != 1 {
		t.Errorf("second: %+v", r)
	}
	out, diagnostics, err := pricesCommand(t, g.cli(), "check", shippedPrices)
	if err != nil || !strings.Contains(out, "models of the last 30 days without an entry of their own:\n  demo-9-ultra   by demo-*   2 requests   18\n") {
		t.Errorf("%v\n%s%s", err, out, diagnostics)
	}
}

// TestScenario plays the documented example.
func TestScenario(t *testing.T) {
	out, _, err := pricesCommand(t, &cli{table: true}, "simulate", "../../docs/scenario.yaml")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/cli.md")
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
	if r, _ := row("open"); r.Credits != "120" || r.Overage != "20" || r.Refused != 0 || r.Requests != 24 {
		t.Errorf("open: %+v", r)
	}
	if r, _ := row("shut"); r.Credits != "100" || r.Overage != "0" || r.Refused != 4 {
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

func TestCheckFormats(t *testing.T) {
	file := written(t, "pricing.yaml", "version: 1\ncredit: {name: credit}\noperations:\n  a: {match: /a, prise: 1, price: 5%}\n")
	c := &cli{table: true, address: "localhost:1"}
	out, _, err := pricesCommand(t, c, "check", file, "--format", "github")
	escaped := strings.NewReplacer(":", "%3A", ",", "%2C").Replace(file)
	want := "::error file=" + escaped + `,line=4,col=18::operations.a: unknown key "prise"; did you mean "price"?` + "\n::error file=" + escaped + `,line=4,col=35::operations.a.price: "5%25" is not a number; write digits with at most one point` + "\n"
	if err == nil || out != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
	out, _, err = pricesCommand(t, c, "check", file, "--format", "json")
	var v api.CheckView
	if err == nil || json.Unmarshal([]byte(out), &v) != nil || len(v.Problems) != 2 || v.OK {
		t.Errorf("%v %s", err, out)
	}
	if _, diagnostics, err := pricesCommand(t, c, "check", file, "--format", "xml"); err == nil || !strings.Contains(diagnostics, "write text, json or github") {
		t.Errorf("%v %s", err, diagnostics)
	}
}
