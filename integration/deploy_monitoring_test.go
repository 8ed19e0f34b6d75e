package integration

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/event"
)

var (
	sampleLine = regexp.MustCompile(`(?m)^(caddy_meter_\w+)(?:\{(.*)\})? `)
	typeLine   = regexp.MustCompile(`(?m)^# TYPE (caddy_meter_\w+) `)
	labelNames = regexp.MustCompile(`(\w+)="`)
	selectors  = regexp.MustCompile(`(caddy_meter_\w+)(?:\{([^}]*)\})?`)
	matchers   = regexp.MustCompile(`(\w+) *(?:=~|!~|!=|=)`)
	grouped    = regexp.MustCompile(`by \(([^)]*)\)`)
	documented = regexp.MustCompile("(?m)^\\| (`[a-z_]+(?:\\{[a-z,_]+\\})?`(?:, `[a-z_]+(?:\\{[a-z,_]+\\})?`)*) \\|")
	metricName = regexp.MustCompile("`([a-z_]+)(?:\\{([a-z,_]+)\\})?`")
)

// scrape is the metrics of a gateway that has done a bit of everything, with their labels.
func scrape(t testing.TB) map[string][]string {
	t.Helper()
	secret := event.NewSecret()
	r := receive(t, "", secret)
	health := freePort(t)
	g := start(t, setup{caddyfile: telling(t, "notify webhook http://"+r.addr+" "+secret) + "\nhttp://" + health + " {\n\tmetrics /metrics\n}\n"})
	key := g.account("acme", "100")
	for _, model := range []string{"gpt-5-mini", "gpt-5-mini", "no-such-model"} {
		g.post(key, chatPath, chatBody(model))
	}
	g.post(key, "/v1/nothing", "{}")
	g.post(key, "/v1/images", `{"n":10,"prompt":"a pier"}`)
	g.upstream.CloseClientConnections()
	g.upstream.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	g.post(key, chatPath, chatBody("gpt-5-mini"))
	g.settled("acme")
	has := map[string][]string{}
	g.eventually("an event is delivered", func() bool {
		status, body := get(t, "http://"+health+"/metrics")
		if status != http.StatusOK {
			t.Fatalf("/metrics: %d", status)
		}
		for _, m := range typeLine.FindAllStringSubmatch(body, -1) {
			has[m[1]] = nil
		}
		for _, m := range sampleLine.FindAllStringSubmatch(body, -1) {
			has[m[1]] = nil
			for _, l := range labelNames.FindAllStringSubmatch(m[2], -1) {
				has[m[1]] = append(has[m[1]], l[1])
			}
		}
		_, delivered := has["caddy_meter_webhook_deliveries_total"]
		return delivered
	})
	return has
}

// known checks that an expression names metrics and labels that exist.
func known(t testing.TB, where, expr string, has map[string][]string) (names []string) {
	t.Helper()
	labels := []string{"instance", "le"} // instance is Prometheus' own
	for _, m := range selectors.FindAllStringSubmatch(expr, -1) {
		of, ok := has[m[1]]
		if !ok {
			t.Errorf("%s: there is no metric %s", where, m[1])
		}
		names, labels = append(names, m[1]), append(labels, of...)
		for _, l := range matchers.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "instance" && !slices.Contains(of, l[1]) {
				t.Errorf("%s: %s has no label %s", where, m[1], l[1])
			}
		}
	}
	for _, m := range grouped.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(m[1], ", ") {
			if !slices.Contains(labels, l) {
				t.Errorf("%s: no metric of it has the label %s", where, l)
			}
		}
	}
	return names
}

// Alert rules, dashboard and documentation name metrics and labels that exist,
// and every metric is documented and in the dashboard.
func TestDeployMonitoring(t *testing.T) {
	t.Parallel()
	has := scrape(t)
	rules := 0
	for _, o := range documents(t, "monitoring") {
		for _, group := range o.list("groups") {
			for _, r := range group.list("rules") {
				rules++
				if expr := r.text("expr"); expr != `up{job="farebox"} == 0` && len(known(t, r.text("alert"), expr, has)) == 0 {
					t.Errorf("%s asks for no metric", r.text("alert"))
				}
			}
		}
	}
	if rules < 10 {
		t.Errorf("there are %d rules", rules)
	}
	var dashboard map[string]any
	if err := json.Unmarshal([]byte(read(t, deploy+"monitoring/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	shown := ""
	for _, p := range object(dashboard).list("panels") {
		for _, target := range p.list("targets") {
			known(t, p.text("title"), target.text("expr"), has)
			shown += target.text("expr")
		}
	}
	_, table, _ := strings.Cut(read(t, "../docs/caddyfile.md"), "| `caddy_meter_…` |")
	table, _, _ = strings.Cut(table, "\n\n")
	in := map[string]bool{}
	for _, line := range documented.FindAllStringSubmatch(table, -1) {
		labels := ""
		all := metricName.FindAllStringSubmatch(line[1], -1)
		for _, m := range slices.Backward(all) {
			if m[2] != "" {
				labels = m[2] // of those before it, too
			}
			in["caddy_meter_"+m[1]] = true
			of, ok := has["caddy_meter_"+m[1]]
			for l := range strings.FieldsFuncSeq(labels, func(r rune) bool { return r == ',' }) {
				if ok && len(all) == 1 && !slices.Contains(of, l) {
					t.Errorf("docs/caddyfile.md: %s has no label %s", m[1], l)
				}
			}
			if _, histogram := has["caddy_meter_"+m[1]+"_bucket"]; !ok && !histogram {
				t.Errorf("docs/caddyfile.md: there is no metric %s", m[1])
			}
		}
	}
	for name := range has {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if !in[base] && !in[name] {
			t.Errorf("docs/caddyfile.md does not have %s", name)
		}
		if !strings.Contains(shown, base) && !strings.Contains("caddy_meter_charged_requests_total caddy_meter_refunded_credits_total", base) {
			t.Errorf("the dashboard does not show %s", base)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: what it says of the rules is not checked")
	}
	for _, args := range [][]string{{"check", "rules", deploy + "monitoring/alerts.yaml"}, {"check", "config", deploy + "monitoring/prometheus.yaml"}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}
