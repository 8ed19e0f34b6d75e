package farebox_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/farebox-dev/farebox"
	_ "github.com/farebox-dev/farebox/caddymodule"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
)

var block = regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```")

// Every price file and every Caddyfile in the documentation is a whole one and
// loads without an error or a warning of ours.
func TestSamples(t *testing.T) {
	samples := 0
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range block.FindAllStringSubmatch(string(text), -1) {
			switch b[1] {
			case "yaml":
				samples++
				if book, problems := pricefile.Load(file, []byte(b[2])); book == nil {
					t.Errorf("%s: a price file does not load:\n%s\n%s", file, problems, b[2])
				}
			case "caddyfile":
				samples++
				adapts(t, file, b[2])
			}
		}
	}
	if samples < 14 {
		t.Errorf("only %d samples were found", samples)
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob("docs/*.md")
	howtos, errHowto := filepath.Glob("docs/howto/*.md")
	if err != nil || errHowto != nil || len(howtos) == 0 {
		t.Fatal(err, errHowto, howtos)
	}
	return append(append(docs, howtos...), "README.md")
}

var word = regexp.MustCompile(`'[^']*'|[^ ]+`)

// What "prices explain" prints in a how-to is what it says by the price file of
// the same page.
func TestExplained(t *testing.T) {
	explained := 0
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var book *pricing.Book
		for _, b := range block.FindAllStringSubmatch(string(text), -1) {
			switch b[1] {
			case "yaml":
				book, _ = pricefile.Load("pricing.yaml", []byte(b[2]))
			case "console":
				for session := range strings.SplitSeq(strings.TrimPrefix(b[2], "$ "), "\n$ ") {
					command, want, _ := strings.Cut(session, "\n")
					explained++
					if got := explain(t, book, command); strings.TrimSpace(got) != strings.TrimSpace(want) {
						t.Errorf("%s: %s\nprints\n%s\nnot\n%s", file, command, got, want)
					}
				}
			}
		}
	}
	if explained < 8 {
		t.Errorf("only %d explanations were found", explained)
	}
}

// explain runs "farebox meter prices explain METHOD PATH -d BODY --plan PLAN".
func explain(t *testing.T, book *pricing.Book, command string) string {
	t.Helper()
	words := word.FindAllString(command, -1)
	if len(words) < 6 || strings.Join(words[:4], " ") != "farebox meter prices explain" {
		t.Fatalf("%s: only prices explain can be tried here", command)
	}
	f := &pricing.Facts{Method: words[4], URI: words[5], ContentType: "application/json", At: time.Now()}
	plan := ""
	for i := 6; i+1 < len(words); i += 2 {
		switch value := strings.Trim(words[i+1], "'"); words[i] {
		case "-d":
			f.Body = []byte(value)
		case "--plan":
			plan = value
		default:
			t.Fatalf("%s: unknown flag %s", command, words[i])
		}
	}
	e, err := meter.Explain(book, f, plan)
	if err != nil {
		return err.Error()
	}
	return e.String()
}

func adapts(t *testing.T, file, text string) {
	t.Helper()
	_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": file})
	if err != nil {
		t.Errorf("%s: a Caddyfile does not adapt: %v\n%s", file, err, text)
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			t.Errorf("%s: %s\n%s", file, w.Message, text)
		}
	}
}

func TestShippedFiles(t *testing.T) {
	if book, problems := pricefile.Load("pricing.yaml", farebox.Pricing); book == nil || len(problems) > 0 {
		t.Errorf("pricing.yaml: %s", problems)
	}
	text, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	adapts(t, "Caddyfile", string(text))
}
