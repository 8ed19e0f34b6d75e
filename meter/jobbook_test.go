package meter

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const jobsBook = `
version: 1
credit: {name: credit, decimals: 0}
operations:
  responses: {match: POST /v1/responses, price: by_model}
  reads: {match: [GET /v1/*, POST /v1/files], price: free}
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
	book, problems := pricefile.Load("pricing.yaml", []byte(jobsBook))
	if book == nil {
		t.Fatal(problems)
	}
	g := &jobsGate{gate: gate{T: t, now: clockAt(time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC))}, store: memory.New(), book: book}
	g.open()
	if _, err := g.m.Accounts.Create(t.Context(), "acme", "", "basic"); err != nil {
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
	g.m, err = Open(context.Background(), Options{Store: g.store, Book: g.book, Text: []byte(jobsBook), Now: g.now.is, Problem: func(err error) { g.Error(err) }})
	if err != nil {
		g.Fatal(err)
	}
	g.m.Jobs.AskFirst(10 * time.Second)
}

func (g *jobsGate) restart() {
	g.m.Close()
	g.now.set(g.now.is().Add(time.Minute))
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
			a, err := g.m.Accounts.Get(t.Context(), "acme")
			if err != nil || a.HeldTotal() < 100 {
				t.Fatalf("%v, held %d", err, a.HeldTotal())
			}
			if restart {
				g.restart()
			}
			for range 2 {
				if own {
					g.now.set(g.now.is().Add(time.Minute))
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
	g.answered(post("/v1/files", ""), 200, jsonType, `{"id":"f0"}`)
	if _, f := g.answered(post("/v1/batches", `{"input_file_id":"f0"}`), 200, jsonType, `{"id":"b1","status":"validating"}`); !f.Pending {
		t.Fatalf("%+v", f)
	}
	g.restart()
	g.now.set(g.now.is().Add(time.Minute))
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
	if !f.Pending || c.Info().Held < 5050 || c.Info().Held > 5400 {
		t.Fatalf("held %d, %+v", c.Info().Held, f)
	}
	g.now.set(g.now.is().Add(time.Minute))
	g.ask(200, `{"id":"mb1","processing_status":"ended"}`)
	for _, q := range g.m.Jobs.Due(t.Context(), 1) {
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
	start := func(g *jobsGate) Call {
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
		op, ok := g.m.Jobs.Webhook("POST", "/hooks/clips")
		if !ok || !g.m.Jobs.Called(op, []byte(`{"task":"c1","state":"completed"}`)) || g.m.Jobs.Called(op, []byte(`{"task":"c2"}`)) || g.m.Jobs.Called(op, []byte(`x`)) {
			t.Fatal("the webhook does not find the job")
		}
		if paths := g.ask(200, answer); len(paths) != 1 || paths[0] != "/clips/c1" {
			t.Fatalf("asked for %q", paths)
		}
		if left < 0 {
			g.wants(9982, 18)
			g.now.set(g.now.is().Add(2 * time.Hour))
			g.ask(200, `{}`)
			left = 10_000
		}
		g.wants(left, 0)
	}
}
