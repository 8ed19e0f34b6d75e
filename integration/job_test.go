package integration

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/internal/mockai"
)

// asking has the gateway ask for jobs itself, soon.
func asking(t testing.TB) string {
	return strings.Replace(read(t, "../Caddyfile"), "\tmeter {\n", "\tmeter {\n\t\tpoll_jobs 1s\n", 1)
}

// video starts a job of 20 credits.
func (g *gateway) video(key, model string) (id string) {
	g.t.Helper()
	a := g.post(key, "/v1/videos", fmt.Sprintf(`{"model":%q,"prompt":"a pier","seconds":"5"}`, model))
	if a.StatusCode != 200 || a.cost() != "20" || a.Header.Get("Credits-Held") != "20" {
		g.t.Fatalf("%s cost %s held %s %s", a.Status, a.cost(), a.Header.Get("Credits-Held"), a.body)
	}
	return gjson.Get(a.body, "id").String()
}

func (g *gateway) wants(id, available, held string) {
	g.t.Helper()
	if a := g.show(id); a.Available != available || a.Held != held {
		g.t.Errorf("account %s: available %s (want %s), held %s (want %s)", id, a.Available, available, a.Held, held)
	}
}

// A job is held until its end is seen: charged once if it ended well, refunded once if not.
func TestJobs(t *testing.T) {
	g := start(t, setup{mock: mockai.Options{JobPolls: 1}})
	key := g.account("acme", "100")
	good, bad := g.video(key, "motion"), g.video(key, "job-failed")
	g.wants("acme", "60", "40")
	if a := g.send(http.MethodGet, "/v1/videos/"+good, "", "X-Api-Key", g.account("other", "10")); a.StatusCode != 404 || reasonOf(a.body) != "job_not_found" {
		t.Errorf("another account's job: %s %s", a.Status, a.body)
	}
	for i := range 3 {
		for _, id := range []string{good, bad} {
			if a := g.send(http.MethodGet, "/v1/videos/"+id, "", "X-Api-Key", key); a.StatusCode != 200 {
				t.Errorf("%s: %s", id, a.Status)
			}
		}
		if i == 0 {
			g.wants("acme", "60", "40")
		}
	}
	g.has("acme", "80")
	if n := g.kinds("acme"); n["refund"] != 1 || n["settle"] != 1 || n["hold"] != 2 {
		t.Errorf("%v", n)
	}
}

// Only the gateway polls these jobs, with the provider's key; neither a
// reload nor the death of the process makes it forget.
func TestTheGatewayAsksForJobs(t *testing.T) {
	t.Parallel()
	g := start(t, setup{caddyfile: asking(t), mock: mockai.Options{JobPolls: 2}})
	key := g.account("acme", "100")
	g.video(key, "motion")
	bad := g.video(key, "job-failed")
	if out := g.reload("--force"); out.code != 0 {
		t.Fatal(out.stderr)
	}
	g.eventually("the gateway asks", func() bool { return g.mock.Path("/v1/videos/"+bad) > 0 })
	if last := g.mock.Last(); last.Method != http.MethodGet || last.Header.Get("Authorization") != "Bearer sk-of-the-provider" || len(last.Body) > 0 {
		t.Errorf("the upstream was asked by %+v", last)
	}
	g.kill()
	g.run()
	g.has("acme", "80")
	if n := g.kinds("acme"); n["refund"] != 1 || n["settle"] != 1 {
		t.Errorf("%v", n)
	}
	polls := g.mock.Path("/v1/videos/" + bad)
	time.Sleep(2500 * time.Millisecond)
	if g.mock.Path("/v1/videos/"+bad) != polls {
		t.Error("the gateway goes on asking for a job that has ended")
	}
}

// What the gateway asks about a job has the headers that say which API and which
// project it is about, and no other of the request that has started the job.
func TestTheGatewaysQuestionHasAnAllowListOfHeaders(t *testing.T) {
	t.Parallel()
	g := start(t, setup{caddyfile: asking(t), mock: mockai.Options{JobPolls: 1}})
	sent := map[string]string{
		"Accept": "application/json", "User-Agent": "acme/1", "Openai-Organization": "org-1", "Openai-Project": "proj-1", "Openai-Beta": "x=v2",
		"Anthropic-Version": "2023-06-01", "Anthropic-Beta": "y", "X-Goog-User-Project": "p",
	}
	headers := []string{
		"X-Secret-Token", "s", "Cookie", "session=1", "X-Amz-Security-Token", "s", "Idempotency-Key", "k", "Prefer", "wait", "X-Api-Token", "s",
		"Range", "bytes=0-1", "If-None-Match", "x", "X-Http-Method-Override", "DELETE", "Proxy-Authorization", "Basic x", "X-Forwarded-For", "192.0.2.1",
	}
	for name, v := range sent {
		headers = append(headers, name, v)
	}
	a := g.post(g.account("acme", "100"), "/v1/videos?key=fb_live_x&k%65y=fb_live_x", `{"model":"job-failed","prompt":"a pier","seconds":"5"}`, headers...)
	path := "/v1/videos/" + gjson.Get(a.body, "id").String()
	g.eventually("the gateway asks", func() bool { return g.mock.Path(path) > 0 })
	asked := g.mock.Last()
	sent["Authorization"] = "Bearer sk-of-the-provider"
	for name, v := range sent {
		if asked.Header.Get(name) != v {
			t.Errorf("%s: %q, want %q", name, asked.Header.Get(name), v)
		}
	}
	for name := range asked.Header {
		switch name {
		case "Accept-Encoding", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto": // reverse_proxy's own
			if strings.Contains(asked.Header.Get(name), "192.0.2.1") {
				t.Errorf("%s: %s", name, asked.Header.Get(name))
			}
		default:
			if sent[name] == "" {
				t.Errorf("the question has %s: %s", name, asked.Header.Get(name))
			}
		}
	}
	g.has("acme", "100")
}

// A job that is not polled survives restarts as a hold.
func TestAJobSurvivesRestarts(t *testing.T) {
	g := start(t, setup{mock: mockai.Options{JobPolls: 1}, caddyfile: strings.Replace(asking(t), "poll_jobs 1s", "poll_jobs off", 1)})
	key := g.account("acme", "100")
	id := g.video(key, "job-failed")
	for _, end := range []func(){g.kill, g.stop} {
		end()
		g.run()
		g.wants("acme", "80", "20")
	}
	for range 3 {
		g.send(http.MethodGet, "/v1/videos/"+id, "", "X-Api-Key", key)
	}
	g.has("acme", "100")
}

// A webhook is a reason to ask, not an answer: whoever forges one gets nothing.
func TestAWebhookHasTheGatewayAsk(t *testing.T) {
	hooked := func(prices string) string {
		return strings.Replace(prices, "      failed_when: {response.body.status: [failed, canceled]}\n",
			"      failed_when: {response.body.status: [failed, canceled]}\n      webhook: {match: POST /hooks/videos, id: body.id}\n", 1)
	}
	g := start(t, setup{mock: mockai.Options{JobPolls: 1}, prices: hooked, caddyfile: strings.Replace(asking(t), "poll_jobs 1s", "poll_jobs 10m", 1)})
	key := g.account("acme", "100")
	id := g.video(key, "job-failed")
	call := func(body string) {
		if a := g.send(http.MethodPost, "/hooks/videos", body); a.StatusCode != http.StatusNoContent {
			t.Errorf("%s %s", a.Status, a.body)
		}
	}
	call(`not JSON`)
	call(`{"id":"video_99","status":"failed"}`)
	call(fmt.Sprintf(`{"id":%q,"status":"failed"}`, id)) // it is not, yet
	g.eventually("the gateway asks", func() bool { return g.mock.Path("/v1/videos/"+id) == 1 })
	g.wants("acme", "80", "20")
	call(fmt.Sprintf(`{"id":%q,"status":"completed"}`, id)) // it is not: it has failed
	g.has("acme", "100")
}

// A background response and a batch are charged by what their last answers say they used.
func TestTokensOfJobs(t *testing.T) {
	var polls atomic.Int64
	upstream := func(mock http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			answer := map[string]string{
				"POST /v1/files":           `{"id":"file-1"}`,
				"POST /v1/responses":       `{"id":"resp_1","status":"queued","model":"demo-small","usage":null}`,
				"GET /v1/responses/resp_1": `{"id":"resp_1","status":"completed","model":"demo-small","output":[],"usage":{"input_tokens":1000,"output_tokens":500,"total_tokens":1500}}`,
				"POST /v1/batches":         `{"id":"batch_1","status":"validating"}`,
				"GET /v1/batches/batch_1":  `{"id":"batch_1","status":"completed","output_file_id":"file-2"}`,
				"GET /v1/files/file-2/content": `{"response":{"body":{"model":"demo-small","usage":{"prompt_tokens":100,"completion_tokens":50}}}}` + "\n" +
					`{"response":{"body":{"model":"gpt-5.4","usage":{"prompt_tokens":100,"completion_tokens":50}}}}`,
			}[r.Method+" "+r.URL.Path]
			if answer == "" {
				mock.ServeHTTP(w, r)
				return
			}
			if r.Method == http.MethodGet {
				polls.Add(1)
			}
			_, _ = io.WriteString(w, answer)
		})
	}
	prices := func(p string) string {
		return strings.Replace(p, "operations:\n", "operations:\n  batch: {match: POST /v1/batches, model: response.body.model, price: by_model}\n  files: {match: POST /v1/files, price: free}\n", 1)
	}
	g := start(t, setup{caddyfile: asking(t), prices: prices, upstream: upstream})
	key := g.account("acme", "500")
	g.post(key, "/v1/files", "the requests")
	for _, tt := range []struct{ path, body string }{
		{"/v1/responses", `{"model":"demo-small","input":"hello","background":true}`},
		{"/v1/batches", `{"input_file_id":"file-1","endpoint":"/v1/chat/completions"}`},
	} {
		a := g.post(key, tt.path, tt.body)
		if a.StatusCode != 200 || a.cost() != "" || a.Header.Get("Credits-Held") == "" {
			t.Errorf("%s: %s %v %s", tt.path, a.Status, a.Header, a.body)
		}
		if c := g.charge("acme", a.Header.Get("Credits-Charge")); c.State != "open" {
			t.Errorf("%+v", c)
		}
	}
	g.has("acme", credits(500_000-price("demo", 1000, 500)-price("demo", 100, 50)-price("gpt-5.4", 100, 50)))
	if polls.Load() != 3 {
		t.Errorf("the gateway asked %d times", polls.Load())
	}
}

// What a process that is being stopped is asked for does not hold it up.
func TestAnUpstreamThatDoesNotAnswerAboutAJob(t *testing.T) {
	asked := make(chan struct{}, 8)
	g := start(t, setup{caddyfile: asking(t), upstream: by("/v1/videos/video_1", func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})})
	key := g.account("acme", "100")
	g.video(key, "motion")
	<-asked
	began := time.Now()
	g.signal(syscall.SIGTERM)
	g.ended()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	g.run()
	g.wants("acme", "80", "20")
	g.kill() // with the job still open, the books are not to be closed
}
