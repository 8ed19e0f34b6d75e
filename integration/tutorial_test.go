package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/mockai"
	"github.com/farebox-dev/farebox/meter/event"
)

// sample is one block of a document: shell, or what shell before it prints.
type sample struct {
	language, text string
	prints         []string // of a shell block: the lines of the block behind it, "…" stands for anything
}

var fence = regexp.MustCompile("(?ms)^( *)```([a-z]*)\n(.*?)^ *```\n")

// samples reads the blocks of a document, in order.
func samples(t testing.TB, file string) (list []sample) {
	t.Helper()
	text, end := read(t, file), 0
	for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
		indent, language, block := text[at[2]:at[3]], text[at[4]:at[5]], text[at[6]:at[7]]
		block = regexp.MustCompile("(?m)^"+indent).ReplaceAllString(block, "")
		before := strings.TrimSpace(text[end:at[0]])
		if end = at[1]; language == "" && before == "" && len(list) > 0 && list[len(list)-1].language == "sh" {
			list[len(list)-1].prints = strings.Split(strings.TrimSpace(block), "\n")
			continue
		}
		list = append(list, sample{language: language, text: block})
	}
	return list
}

func shell(list []sample) (blocks []sample) {
	for _, s := range list {
		if s.language == "sh" {
			blocks = append(blocks, s)
		}
	}
	return blocks
}

// runSamples runs shell blocks, one after the other in one shell, and compares what each prints.
func (g *gateway) runSamples(what string, blocks []sample, replace *strings.Replacer, env ...string) {
	g.t.Helper()
	var script strings.Builder
	script.WriteString("set -e -o pipefail\nshopt -s expand_aliases\n")
	for i, b := range blocks {
		fmt.Fprintf(&script, "%s\necho\necho '=== %d'\n", replace.Replace(b.text), i)
	}
	cmd := exec.Command("bash", "-s")
	cmd.Stdin = strings.NewReader(script.String())
	cmd.Dir, cmd.Env = g.dir, append(g.env(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second // what goes on in the background keeps its pipes
	err := cmd.Run()
	parts := regexp.MustCompile(`(?m)^\n?=== \d+\n`).Split(stdout.String(), -1)
	if len(parts) != len(blocks)+1 {
		last := min(len(parts)-1, len(blocks)-1)
		g.t.Fatalf("%s: block %d fails (%v):\n%s\nprinted\n%s\n%s", what, last+1, err, blocks[last].text, parts[last], stderr.String())
	}
	for i, b := range blocks {
		for _, line := range b.prints {
			if !printed(parts[i], replace.Replace(line)) {
				g.t.Errorf("%s: block %d\n%s\nprinted\n%s\nwithout the line %q\n%s", what, i+1, b.text, parts[i], line, stderr.String())
			}
		}
	}
}

// printed reports whether an output has a line; runs of spaces count as one.
func printed(output, line string) bool {
	line = regexp.MustCompile(`\bch_[0-9A-Z]+`).ReplaceAllString(line, "ch_…") // of that day
	pattern := regexp.QuoteMeta(strings.Join(strings.Fields(line), " "))
	pattern = "^" + strings.ReplaceAll(pattern, "…", ".*") + "$"
	re := regexp.MustCompile(pattern)
	for l := range strings.Lines(output) {
		if re.MatchString(strings.Join(strings.Fields(l), " ")) {
			return true
		}
	}
	return false
}

// bin is a directory with the binary under its name.
func (g *gateway) bin() string {
	g.t.Helper()
	dir := g.path("path")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "farebox")); err != nil {
		g.t.Fatal(err)
	}
	return dir
}

// bare is a gateway that the samples start themselves.
func bare(t testing.TB) *gateway {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash to run the samples with")
	}
	return &gateway{t: t, dir: t.TempDir(), addr: freePort(t), admin: freePort(t)}
}

func (g *gateway) pathEnv() string { return "PATH=" + g.path("path") + ":" + os.Getenv("PATH") }

// unused is an upstream that gets no request.
func unused(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s
}

func TestTutorial(t *testing.T) {
	t.Parallel()
	g := bare(t)
	g.upstream = unused(t)
	g.bin()
	t.Cleanup(func() { _ = g.exec("stop", "--address", g.admin) })
	blocks := shell(samples(t, "../docs/tutorial.md"))
	if len(blocks) < 10 || len(blocks) > 15 {
		t.Errorf("the tutorial has %d steps", len(blocks))
	}
	port := func(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }
	g.runSamples("docs/tutorial.md", blocks, strings.NewReplacer("8080", port(g.addr), "9000", port(freePort(t)), "9001", port(freePort(t))),
		"CADDY_ADMIN="+g.admin, g.pathEnv())
}

// The README: its demo, then its own Caddyfile and price file. make is one that
// has built already.
func TestReadme(t *testing.T) {
	t.Parallel()
	g := bare(t)
	g.upstream = unused(t)
	g.bin()
	other, otherAdmin := freePort(t), freePort(t)
	g.write("path/make", fmt.Sprintf(`#!/bin/bash
case "$1" in
build) mkdir -p bin; ln -sf %[1]s bin/farebox ;;
demo) make build; bin/farebox meter demo --listen %[2]s --data demo > demo.txt 2>&1 &
	for i in $(seq 200); do grep -q "export KEY" demo.txt && exit 0; sleep 0.05; done; cat demo.txt; exit 1 ;;
test) ;;
*) exit 2 ;;
esac
`, binary, g.addr))
	if err := os.Chmod(g.path("path/make"), 0o700); err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(mockai.New(mockai.Options{Pace: -1, Models: []string{"gpt-5-mini"}}))
	t.Cleanup(upstream.Close)
	list := samples(t, "../README.md")
	var demo, own []sample
	for _, s := range list {
		switch {
		case s.language == "caddyfile":
			g.write("Caddyfile", strings.NewReplacer(":8080", "http://"+other, "https://api.openai.com", upstream.URL).Replace(s.text))
		case s.language == "yaml":
			g.write("pricing.yaml", s.text)
		case s.language == "sh" && strings.Contains(s.text, "farebox run"):
			own = append(own, s)
		case s.language == "sh":
			demo = append(demo, s)
		}
	}
	if len(demo) < 3 || len(own) != 1 {
		t.Fatalf("%d blocks of the demo, %d of an own gateway", len(demo), len(own))
	}
	stop := func(admin string) { _ = g.exec("stop", "--address", admin) }
	t.Cleanup(func() { stop(g.admin); stop(otherAdmin) })
	hosts := strings.NewReplacer("http://127.0.0.1:8080", "http://"+g.addr, "KEY=fb_live_…", `KEY=$(sed -n 's/.*export KEY=//p' demo.txt)`)
	g.runSamples("README.md", demo, hosts, "CADDY_ADMIN="+g.admin, g.pathEnv())
	running := strings.NewReplacer("farebox run &", "farebox run > run.txt 2>&1 &\nfor i in $(seq 200); do bin/farebox meter account list > /dev/null 2>&1 && break; sleep 0.05; done")
	g.runSamples("README.md", own, running, "CADDY_ADMIN="+otherAdmin, g.pathEnv())
	g.listsModels(other, otherAdmin)
}

// listsModels does what many programs do first, with the README's own price file.
func (g *gateway) listsModels(addr, admin string) {
	g.t.Helper()
	key, _, _ := strings.Cut(g.exec("meter", "--address", admin, "key", "create", "acme", "--table").stdout, " ")
	client := openai.NewClient(option.WithBaseURL("http://"+addr+"/v1"), option.WithAPIKey(key), option.WithMaxRetries(0))
	list, err := client.Models.List(g.t.Context())
	if err != nil || len(list.Data) != 1 || list.Data[0].ID != "gpt-5-mini" {
		g.t.Errorf("GET /v1/models: %v %v", list, err)
	}
	out := g.exec("meter", "--address", admin, "account", "show", "acme", "--json")
	if gjson.Get(out.stdout, "spent").Str != "0" {
		g.t.Errorf("it was not free: %s", out.stdout)
	}
}

// The samples of the API's documentation and of the how-tos, against a gateway
// with their accounts. curl fails where an answer is an error.
func TestSamplesOfTheAPI(t *testing.T) {
	t.Parallel()
	for file, prices := range map[string]string{"../docs/api.md": "", "../docs/howto/stripe.md": "../docs/howto/stripe.md", "../docs/howto/teams.md": "../docs/howto/teams.md"} {
		g := start(t, setup{caddyfile: telling(t), prices: func(shipped string) string {
			if prices == "" {
				return shipped + "\n"
			}
			for _, s := range samples(t, prices) {
				if s.language == "yaml" {
					return s.text
				}
			}
			return shipped
		}})
		g.bin()
		g.write("accounts.csv", "id,name,plan,balance:top_up\nnorth,North,pro,250\n") // that the page imports
		if !strings.Contains(file, "teams") {                                         // which opens its account itself
			g.cli("account", "create", "acme").want(t, "acme", 0)
			g.cli("member", "add", "acme", "mira", "--role", "admin").want(t, "mira", 0)
		}
		var operator struct{ Secret string }
		if err := json.Unmarshal([]byte(g.cli("operator", "create", "--scope", "admin").stdout), &operator); err != nil {
			t.Fatal(err)
		}
		key := ""
		if !strings.Contains(file, "teams") {
			key = g.key("acme")
		}
		g.write("path/curl", "#!/bin/bash\n[ \"$1\" = -f ] && shift\nexec "+curl(t)+" -sS --fail-with-body \"$@\"\n")
		if err := os.Chmod(g.path("path/curl"), 0o700); err != nil {
			t.Fatal(err)
		}
		blocks := shell(samples(t, file))
		if len(blocks) == 0 {
			t.Errorf("%s has no samples", file)
		}
		g.runSamples(file, blocks, strings.NewReplacer("https://ai.example.com/", "http://"+g.addr+"/"), "CADDY_ADMIN="+g.admin, g.pathEnv(), "KEY="+key, "FAREBOX_OPERATOR_KEY="+operator.Secret)
	}
}

func curl(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl")
	}
	return path
}

// The event in the documentation looks like one that is sent.
func TestTheDocumentedEventIsReal(t *testing.T) {
	t.Parallel()
	text := read(t, "../docs/events.md")
	id := regexp.MustCompile(`(?m)^webhook-id: (.*)$`).FindStringSubmatch(text)
	body := regexp.MustCompile(`(?m)^\{"type".*$`).FindString(text)
	if id == nil || body == "" {
		t.Fatal("docs/events.md shows no request")
	}
	secret := event.NewSecret()
	r := receive(t, "", secret)
	g := start(t, setup{caddyfile: telling(t, "notify webhook http://"+r.addr+" "+secret), prices: func(p string) string { return p + "\nalerts: [{below: 20%}]\n" }})
	g.cli("account", "create", "acme", "--plan", "free").want(t, "create", 0)
	key := g.key("acme")
	for range 4 {
		g.post(key, "/v1/images", `{"prompt":"a pier"}`)
	}
	real := r.gets(g, event.Low, 1)
	fields := func(text string) (all []string) {
		var e struct {
			Data map[string]any
		}
		var whole map[string]any
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if err := json.Unmarshal([]byte(text), &whole); err != nil {
			t.Fatal(err)
		}
		for name := range e.Data {
			all = append(all, "data."+name)
		}
		return slices.Sorted(slices.Values(append(all, slices.Sorted(maps.Keys(whole))...)))
	}
	if want, got := fields(body), fields(real.body); !slices.Equal(want, got) {
		t.Errorf("documented %q, sent %q", want, got)
	}
	number := regexp.MustCompile(`\d+`)
	if want, got := number.ReplaceAllString(id[1], "#"), number.ReplaceAllString(real.id, "#"); want != got {
		t.Errorf("documented %s, sent %s", id[1], real.id)
	}
}
