package meter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// answered runs a request with this answer.
func (g *gate) answered(r *Request, status int, header http.Header, body string) (*Charge, Final) {
	g.Helper()
	c := g.admit(r)
	c.Begin(status, header)
	if _, err := c.Observe(g.Context(), []byte(body)); err != nil {
		g.Fatal(err)
	}
	c.End()
	f := c.Settle(Answered, nil)
	if done := c.Booked(); done != nil {
		<-done
	}
	return c, f
}

func (g *gate) job(id string) *Charge {
	g.Helper()
	c, f := g.answered(post("/v1/videos", ""), 200, jsonType, `{"id":"`+id+`","status":"queued"}`)
	if !f.Pending || f.Cost != 50 {
		g.Errorf("a job was started: %+v", f)
	}
	return c
}

// ask answers the gateway's own questions, and returns their paths.
func (g *gate) ask(status int, body string) (paths []string) {
	g.Helper()
	for _, q := range g.m.DueJobs(g.Context(), 10) {
		paths = append(paths, q.Path)
		q.Reader.Begin(status, jsonType)
		q.Reader.Observe([]byte(body))
		q.Reader.End(true)
	}
	return paths
}

func TestAJobIsHeldUntilItHasEnded(t *testing.T) {
	for end, left := range map[string]money.Amount{"completed": 950, "failed": 1000} {
		g := newGate(t, "basic")
		c := g.job("v1")
		g.wants(950, 50)
		for _, status := range []string{"running", end, end, "failed", "completed"} { // the first end is the end
			g.answered(get("/v1/videos/v1"), 200, jsonType, `{"id":"v1","status":"`+status+`"}`) // an operation of its own, and still the status of the job
			if status == "running" {
				g.wants(950, 50)
			}
		}
		g.wants(left, 0)
		if r := g.record(c); r.Cost != 1000-left {
			t.Errorf("%s: %+v", end, r)
		}
	}
}

func TestWhatIsNoAnswerAboutAJobDoesNotEndIt(t *testing.T) {
	g := newGate(t, "basic")
	g.job("v1")
	g.answered(get("/v1/videos/v1"), 500, jsonType, `{"status":"failed"}`)
	g.answered(get("/v1/videos/v1"), 404, jsonType, `{"error":{"message":"no such video"}}`)
	g.answered(get("/v1/videos/v1"), 200, jsonType, `{"id":"v1","sta`)
	g.answered(get("/v1/videos/v2"), 200, jsonType, `{"id":"v2","status":"completed"}`)
	g.wants(950, 50)
	g.answered(get("/v1/videos/v1"), 200, jsonType, `{"id":"v1","status":"completed"}`)
	g.wants(950, 0)
}

func TestAJobThatHasEndedAtOnceIsNotHeld(t *testing.T) {
	g := newGate(t, "basic")
	if _, f := g.answered(post("/v1/videos", ""), 200, jsonType, `{"id":"v1","status":"completed"}`); f.Pending {
		t.Errorf("%+v", f)
	}
	g.wants(950, 0)
	if _, f := g.answered(post("/v1/videos", ""), 200, jsonType, `{"id":"v2","status":"failed"}`); !f.Refunded {
		t.Errorf("%+v", f)
	}
	g.wants(950, 0)
}

func TestAJobOfAnotherAccount(t *testing.T) {
	g := newGate(t, "basic")
	if _, err := g.m.CreateAccount(t.Context(), "other", "", "basic"); err != nil {
		t.Fatal(err)
	}
	g.job("v1")
	theirs := get("/v1/videos/v1")
	theirs.Caller.Account = "other"
	for range 2 {
		var d *Denial
		if _, err := g.m.Admit(t.Context(), theirs); !errors.As(err, &d) || d.Reason != JobNotFound {
			t.Errorf("another account may ask: %v", err)
		}
		g.answered(get("/v1/videos/v1"), 200, jsonType, `{"status":"completed"}`) // the second time it has ended long ago
	}
}

func TestTheGatewayAsksForJobsItself(t *testing.T) {
	g := newGate(t, "basic")
	g.m.AskForJobs(10 * time.Second)
	g.job("v1")
	if paths := g.ask(200, `{}`); len(paths) != 0 {
		t.Errorf("asked at once: %q", paths)
	}
	asked, began := 0, g.now
	for range 120 {
		g.now = g.now.Add(5 * time.Second)
		for _, path := range g.ask(200, `{"status":"in_progress"}`) {
			if asked++; path != "/v1/videos/v1" {
				t.Errorf("asked for %s", path)
			}
		}
	}
	if asked < 5 || asked > 9 {
		t.Errorf("asked %d times in %s", asked, g.now.Sub(began))
	}
	g.now = g.now.Add(maxWait)
	g.ask(502, `{"status":"failed"}`)
	g.wants(950, 50)
	g.now = g.now.Add(maxWait)
	g.ask(200, `{"status":"failed"}`)
	g.wants(1000, 0)
	g.now = g.now.Add(time.Hour)
	if paths := g.ask(200, `{}`); len(paths) != 0 {
		t.Errorf("asked for a job that has ended: %q", paths)
	}
}

func TestAJobThatIsLost(t *testing.T) {
	g := newGate(t, "basic")
	g.job("v1")
	g.now = g.now.Add(47 * time.Hour)
	g.ask(200, `{}`)
	g.wants(950, 50)
	g.now = g.now.Add(2 * time.Hour)
	g.ask(200, `{}`)
	g.wants(950, 0)
}

const jobsBook = `
version: 1
credit: {name: credit, decimals: 0}
operations:
  responses: {match: POST /v1/responses, price: by_model}
  reads: {match: GET /v1/*, price: free}
  batch: {match: POST /v1/batches, model: response.body.model, price: by_model}
  message-batch: {match: POST /v1/messages/batches, model: body.requests.0.params.model, price: by_model}
  clip:
    match: POST /clips
    measure: {second: {from: response.body.length, default: 9}}
    price: {per_second: 2}
    job:
      id: response.body.task
      status: GET /clips/{id}
      failed_when: {response.body.state: broken}
      done_when: {response.body.progress: 100}
      max_age: 1 hour
      when_lost: refund
      webhook: {match: POST /hooks/clips, id: body.task}
models:
  words: {per_token: {input: 1, output: 1}, max_output_tokens: 100_000}
  dear: {per_token: {input: 10, output: 10}, max_output_tokens: 100_000}
plans: {basic: {credits: [{type: subscription, amount: 10_000, every: month}]}}
default_plan: basic
policies: {reserve_output_tokens: 100}
`

// jobsGate is a gate with jobsBook whose meter can be opened again.
type jobsGate struct {
	gate
	store *memory.Store
	book  *pricing.Book
}

func newJobsGate(t *testing.T) *jobsGate {
	book, problems := pricing.Load("pricing.yaml", []byte(jobsBook))
	if book == nil {
		t.Fatal(problems)
	}
	g := &jobsGate{gate: gate{T: t, now: time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC)}, store: memory.New(), book: book}
	g.open()
	if _, err := g.m.CreateAccount(t.Context(), "acme", "", "basic"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r, err := g.m.Verify(context.Background()); err != nil || !r.Clean() {
			t.Errorf("verify: %v %+v", err, r)
		}
		g.m.Close()
	})
	return g
}

func (g *jobsGate) open() {
	var err error
	g.m, err = Open(context.Background(), Options{Store: g.store, Book: g.book, Text: []byte(jobsBook), Now: func() time.Time { return g.now }, Problem: func(err error) { g.Error(err) }})
	if err != nil {
		g.Fatal(err)
	}
	g.m.AskForJobs(10 * time.Second)
}

func (g *jobsGate) restart() {
	g.m.Close()
	g.now = g.now.Add(time.Minute)
	g.open()
}

// A background response costs what its last answer says, whichever way that came.
func TestABackgroundResponseCostsWhatItUsed(t *testing.T) {
	const queued = `{"id":"resp_1","object":"response","status":"queued","model":"words","usage":null}`
	const done = `{"id":"resp_1","object":"response","status":"completed","model":"words","output":[],"usage":{"input_tokens":20,"output_tokens":300,"total_tokens":320}}`
	for _, restart := range []bool{false, true} {
		for _, own := range []bool{false, true} {
			g := newJobsGate(t)
			_, f := g.answered(post("/v1/responses", `{"model":"words","background":true,"input":"hi"}`), 200, jsonType, queued)
			if !f.Pending {
				t.Fatalf("%+v", f)
			}
			a, err := g.m.Account(t.Context(), "acme")
			if err != nil || a.HeldTotal() < 100 {
				t.Fatalf("%v, held %d", err, a.HeldTotal())
			}
			if restart {
				g.restart()
			}
			for range 2 {
				if own {
					g.now = g.now.Add(time.Minute)
					g.ask(200, done)
				} else {
					g.answered(get("/v1/responses/resp_1"), 200, jsonType, done)
				}
			}
			g.wants(10_000-320, 0)
		}
	}
}

func TestABatchCostsWhatItsModelsUsed(t *testing.T) {
	lines := http.Header{"Content-Type": {"application/octet-stream"}}
	line := func(model string, in, out int) string {
		return fmt.Sprintf(`{"custom_id":"a","response":{"status_code":200,"body":{"model":%q,"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}},"error":null}`+"\n", model, in, out)
	}
	g := newJobsGate(t)
	if _, f := g.answered(post("/v1/batches", `{"input_file_id":"f0"}`), 200, jsonType, `{"id":"b1","status":"validating"}`); !f.Pending {
		t.Fatalf("%+v", f)
	}
	g.restart()
	g.now = g.now.Add(time.Minute)
	if paths := g.ask(200, `{"id":"b1","status":"completed","model":"words","output_file_id":"f1"}`); len(paths) != 1 || paths[0] != "/v1/batches/b1" {
		t.Fatalf("%q", paths)
	}
	g.restart() // what is left to read is remembered, too
	g.answered(get("/v1/files/f0/content"), 200, lines, line("words", 1, 1))
	g.answered(get("/v1/files/f1/content"), 200, lines, line("words", 10, 20)+line("dear", 1, 2)+line("words", 3, 4)+`{"response":null,"error":{"code":"batch_expired"}}`)
	g.wants(10_000-37-30, 0)
}

func TestABatchOfMessages(t *testing.T) {
	result := `{"custom_id":"a","result":{"type":"succeeded","message":{"model":"words","usage":{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":4}}}}` + "\n" +
		`{"custom_id":"b","result":{"type":"errored","error":{"type":"error","error":{"type":"invalid_request_error"}}}}` + "\n"
	g := newJobsGate(t)
	body := `{"requests":[{"custom_id":"a","params":{"model":"words","max_tokens":50,"messages":[]}},{"custom_id":"b","params":{"model":"words","max_tokens":5000,"messages":[]}}]}`
	c, f := g.answered(post("/v1/messages/batches", body), 200, jsonType, `{"id":"mb1","type":"message_batch","processing_status":"in_progress"}`)
	if !f.Pending || c.Held < 150 || c.Held > 400 {
		t.Fatalf("held %d, %+v", c.Held, f)
	}
	g.now = g.now.Add(time.Minute)
	g.ask(200, `{"id":"mb1","processing_status":"ended"}`)
	for _, q := range g.m.DueJobs(t.Context(), 1) {
		if q.Path != "/v1/messages/batches/mb1/results" {
			t.Errorf("asked for %s", q.Path)
		}
		q.Reader.Begin(200, http.Header{"Content-Type": {"application/x-jsonl"}})
		for i := range result {
			q.Reader.Observe([]byte(result[i : i+1]))
		}
		q.Reader.End(true)
	}
	g.wants(10_000-19, 0)
}

func TestAJobByThePriceFile(t *testing.T) {
	start := func(g *jobsGate) *Charge {
		c, f := g.answered(post("/clips", `{}`), 202, jsonType, `{"task":"c1"}`)
		if !f.Pending || f.Cost != 18 {
			t.Fatalf("%+v", f)
		}
		return c
	}
	for answer, left := range map[string]money.Amount{
		`{"progress":100,"length":4}`:                      9992,
		`{"progress":100}`:                                 9982,
		`{"state":"broken","progress":100}`:                10_000,
		`{"state":"completed","progress":99,"length":400}`: -1, // not what the file calls done
	} {
		g := newJobsGate(t)
		start(g)
		g.restart()
		op, ok := g.m.Webhook("POST", "/hooks/clips")
		if !ok || !g.m.JobCalled(op, []byte(`{"task":"c1","state":"completed"}`)) || g.m.JobCalled(op, []byte(`{"task":"c2"}`)) || g.m.JobCalled(op, []byte(`x`)) {
			t.Fatal("the webhook does not find the job")
		}
		if paths := g.ask(200, answer); len(paths) != 1 || paths[0] != "/clips/c1" {
			t.Fatalf("asked for %q", paths)
		}
		if left < 0 {
			g.wants(9982, 18)
			g.now = g.now.Add(2 * time.Hour)
			g.ask(200, `{}`)
			left = 10_000
		}
		g.wants(left, 0)
	}
}

func TestAKeyThatIsUsedAgainGetsTheJob(t *testing.T) {
	g := newGate(t, "basic")
	ask := func() *Request {
		r := post("/v1/videos", "{}")
		r.Idempotency = "k"
		return r
	}
	c := g.admit(ask())
	c.Begin(200, jsonType)
	if _, err := c.Observe(t.Context(), []byte(`{"id":"v1","status":"queued"}`)); err != nil {
		t.Fatal(err)
	}
	c.End()
	c.Settle(Answered, []byte("kept"))
	for _, status := range []string{"queued", "completed"} {
		if again := g.admit(ask()); again.Replay == nil || string(again.Replay.Answer) != "kept" || again.ID != c.ID {
			t.Errorf("%s: %+v", status, again.Replay)
		}
		g.answered(get("/v1/videos/v1"), 200, jsonType, `{"status":"completed"}`)
	}
	g.wants(950, 0)
}

func TestAJobOutlivesTheLease(t *testing.T) {
	g := newGate(t, "basic")
	c := g.job("v1")
	g.m.renewJobs()
	if !g.m.bank.Renew(ledger.ChargeID(c.ID)) {
		t.Error("the hold of the job is not there any more")
	}
	g.answered(get("/v1/videos/v1"), 200, jsonType, `{"status":"completed"}`)
	g.wants(950, 0)
	if g.m.bank.Renew(ledger.ChargeID(c.ID)) || g.m.jobs.isOpen(ledger.ChargeID(c.ID)) {
		t.Error("a job that has ended is still looked after")
	}
}
