package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trace is what the files of the ledger's log have come to. They have room behind
// their content, and go when that is in the tables, so look often.
type trace map[string]int

func (tr trace) look(g *gateway) (sum int) {
	g.t.Helper()
	files, err := filepath.Glob(filepath.Join(g.data, "log", "*.log"))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil {
			tr[f] = max(tr[f], len(bytes.TrimRight(text, "\x00")))
		}
	}
	for _, n := range tr {
		sum += n
	}
	return sum
}

// Requests that cost nothing leave a bounded trace, whatever they say: of names, labels,
// members, idempotency keys and paths that are as long as they may be.
func TestRequestsThatCostNothingLeaveABoundedTrace(t *testing.T) {
	const requests = 200
	g := start(t, setup{
		prices: func(p string) string {
			return p + "labels: {project: header.X-Project, worker: body.metadata.worker}\n"
		},
		upstream: by("/v1/messages/count_tokens", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"input_tokens":8,"model":%q}`, strings.Repeat("m", 100_000))
		}),
	})
	key := g.account("acme", "900")
	longest, huge := strings.Repeat("x", 256), strings.Repeat("x", 30_000)
	for _, c := range []struct {
		what, path, body string
		status           int
		most             int // bytes for each
	}{
		{"free", "/v1/messages/count_tokens", `{"model":"demo-small","messages":[],"metadata":{"worker":"` + longest + `"},"system":"` + huge + `"}`, http.StatusOK, 4_000},
		{"failed", chatPath, `{"model":"demo-fail-502` + longest[:200] + `","messages":[{"role":"user","content":"` + huge + `"}],"metadata":{"worker":"` + longest + `"}}`, http.StatusBadGateway, 8_000},
		{"refused for its name", chatPath, chatBody("demo-" + huge), http.StatusBadRequest, 0},
		{"refused for its label", chatPath, `{"model":"demo-small","messages":[],"metadata":{"worker":"` + huge + `"}}`, http.StatusBadRequest, 0},
		{"refused for its price", chatPath, chatBody("not-for-sale"), http.StatusForbidden, 0},
	} {
		log := trace{}
		before := log.look(g)
		for i := range requests {
			a := g.post(key, c.path, c.body, "X-Project", longest, "Idempotency-Key", fmt.Sprintf("%s%d-%d", longest[:240], c.status, i))
			if a.StatusCode != c.status {
				t.Fatalf("%s: %s %.300s", c.what, a.Status, a.body)
			}
			log.look(g)
		}
		g.settled("acme")
		each := (log.look(g) - before) / requests
		t.Logf("%s: %d bytes of log for each request", c.what, each)
		if each > c.most {
			t.Errorf("%s: %d bytes of log for each, and %d are the most", c.what, each, c.most)
		}
		if c.most > 0 && each <= 0 {
			t.Errorf("%s: the log did not grow, so the test has shown nothing", c.what)
		}
	}
}
