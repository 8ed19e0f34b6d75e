package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/caddymodule/api/openapi"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// Every answer is of the type that the document describes.
func TestTheOpenAPIDocumentIsTrue(t *testing.T) {
	described := map[string]reflect.Type{}
	var ops []openapi.Operation
	for _, e := range customerEndpoints() {
		ops = append(ops, e.operation())
	}
	for _, o := range ops {
		if _, twice := described[o.Pattern]; twice {
			t.Errorf("%s is there twice", o.Pattern)
		}
		described[o.Pattern] = reflect.TypeOf(o.Out)
	}
	book, problems := pricefile.Load("pricing.yaml", []byte("version: 1\ncredit: {name: credit, worth: 1 USD}\noperations: {image: {match: POST /v1/images, price: 10}}\nplans: {basic: {credits: [{type: subscription, amount: 100, every: month}]}}\ndefault_plan: basic\n"))
	if book == nil {
		t.Fatal(problems)
	}
	m, err := meter.Open(t.Context(), meter.Options{Store: memory.New(), Book: book})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Accounts.Create(t.Context(), "acme", "Acme", ""); err != nil {
		t.Fatal(err)
	}
	secret, _, err := m.Directory.Keys.Create(t.Context(), directory.Key{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	p := &API{Base: "/_meter"}
	seen := map[string]bool{}
	t.Cleanup(func() { answered = nil })
	answered = func(pattern string, v any) {
		seen[pattern] = true
		if got := reflect.TypeOf(v); got != described[pattern] {
			t.Errorf("%s answers %v, the document says %v", pattern, got, described[pattern])
		}
	}
	bodies := map[string]string{
		"POST /v1/session": `{"key":"` + secret + `"}`, "PUT /v1/alerts": `{"below":["20%"]}`, "PUT /v1/webhook": `{"url":"https://example.com/"}`,
		"POST /v1/estimate": `{"mix":[{"operation":"image","per_day":"3"}]}`, "PUT /v1/members/{member}": `{"role":"member"}`, "POST /v1/keys": `{"name":"x"}`,
	}
	var keyID string
	for _, o := range ops {
		if o.Out == nil || strings.Contains(o.Pattern, "{charge}") {
			continue
		}
		method, path, _ := strings.Cut(o.Pattern, " ")
		path = strings.NewReplacer("{key}", keyID, "{member}", "mira").Replace(path)
		r := httptest.NewRequest(method, path, strings.NewReader(bodies[o.Pattern]))
		r.Header.Set("Authorization", "Bearer "+secret)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		p.Serve(m, w, r)
		if w.Code != http.StatusOK || !seen[o.Pattern] {
			t.Errorf("%s: %d %s", o.Pattern, w.Code, w.Body)
		}
		if o.Pattern == "POST /v1/keys" {
			var k NewKeyView
			if err := json.Unmarshal(w.Body.Bytes(), &k); err != nil {
				t.Fatal(err)
			}
			keyID = k.ID
		}
	}
	w := httptest.NewRecorder()
	p.Serve(m, w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]map[string]any }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || doc.OpenAPI != "3.1.0" || len(doc.Paths) < 15 {
		t.Fatalf("%v %s", err, w.Body)
	}
	for _, ref := range strings.Split(w.Body.String(), `"#/components/schemas/`)[1:] {
		if name, _, _ := strings.Cut(ref, `"`); doc.Components.Schemas[name] == nil {
			t.Errorf("the schema %s is not there", name)
		}
	}
	if doc.Components.Schemas["BalanceView"]["required"] == nil {
		t.Errorf("balance: %v", doc.Components.Schemas["BalanceView"])
	}
}

// All names of fields and parameters are in snake_case.
func TestNamesAreSnakeCase(t *testing.T) {
	w := httptest.NewRecorder()
	(&API{Console: true}).Serve(nil, w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	form, names := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`), 0
	check := func(name string) {
		if names++; !form.MatchString(name) && name != "Idempotency-Key" {
			t.Errorf("%s is not in snake_case", name)
		}
	}
	var visit func(v any)
	visit = func(v any) {
		switch x := v.(type) {
		case []any:
			for _, y := range x {
				visit(y)
			}
		case map[string]any:
			if fields, ok := x["properties"].(map[string]any); ok {
				for name := range fields {
					check(name)
				}
			}
			if name, ok := x["name"].(string); ok && x["in"] != nil {
				check(name)
			}
			for _, y := range x {
				visit(y)
			}
		}
	}
	var doc any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if visit(doc); names < 200 {
		t.Errorf("only %d names were found", names)
	}
}

// TestTheOpenAPIDocumentsPassALinter, and each operation has a name of its own.
func TestTheOpenAPIDocumentsPassALinter(t *testing.T) {
	var files []string
	for name, console := range map[string]bool{"customers.json": false, "operators.json": true} {
		w := httptest.NewRecorder()
		(&API{Base: "/_meter", Console: console}).Serve(nil, w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, w.Body.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		ids := map[string]bool{}
		for _, m := range regexp.MustCompile(`"operationId": "([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
			if ids[m[1]] || !regexp.MustCompile(`^[a-z][A-Za-z]+$`).MatchString(m[1]) {
				t.Errorf("%s: the operation id %q is there twice, or no name", name, m[1])
			}
			ids[m[1]] = true
		}
	}
	npx, err := exec.LookPath("npx")
	if err != nil {
		t.Skip("the linter needs npx, which comes with Node.js:", err)
	}
	c := exec.Command(npx, append([]string{"--yes", "@redocly/cli@2.77.0", "lint", "--format=stylish", "--max-problems=20"}, files...)...) //nolint:gosec // our own files
	c.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
	out, err := c.CombinedOutput()
	if err != nil || regexp.MustCompile(`You have \d+ warning`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}
