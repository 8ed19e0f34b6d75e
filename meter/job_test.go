package meter

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

// answered runs a request with this answer.
func (g *gate) answered(r *Request, status int, header http.Header, body string) (Call, Receipt) {
	g.Helper()
	c := g.admit(r)
	return c, g.ends(c, status, header, body)
}

// ends gives a charge its whole answer.
func (g *gate) ends(c Call, status int, header http.Header, body string) Receipt {
	g.Helper()
	c.Begin(status, header)
	if _, err := c.Observe(g.Context(), []byte(body)); err != nil {
		g.Fatal(err)
	}
	c.End()
	return c.Settle(g.Context(), Answered, nil)
}

func (g *gate) job(id string) Call {
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
	for _, q := range g.m.Jobs.Due(g.Context(), 10) {
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
	other := get("/v1/videos/v2")
	other.UnknownIDs = []string{"video", "videos"}
	g.answered(other, 200, jsonType, `{"id":"v2","status":"completed"}`)
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
	if _, err := g.m.Accounts.Create(t.Context(), "other", "", "basic"); err != nil {
		t.Fatal(err)
	}
	g.job("v1")
	theirs := get("/v1/videos/v1")
	theirs.Caller.Account = "other"
	for range 2 {
		var d *Refusal
		if _, err := g.m.Admit(t.Context(), theirs); !errors.As(err, &d) || d.Reason != JobNotFound {
			t.Errorf("another account may ask: %v", err)
		}
		g.answered(get("/v1/videos/v1"), 200, jsonType, `{"status":"completed"}`) // the second time it has ended long ago
	}
}

func TestTheGatewayAsksForJobsItself(t *testing.T) {
	g := newGate(t, "basic")
	g.m.Jobs.AskFirst(10 * time.Second)
	g.job("v1")
	if paths := g.ask(200, `{}`); len(paths) != 0 {
		t.Errorf("asked at once: %q", paths)
	}
	asked, began := 0, g.now.is()
	for range 120 {
		g.now.set(g.now.is().Add(5 * time.Second))
		for _, path := range g.ask(200, `{"status":"in_progress"}`) {
			if asked++; path != "/v1/videos/v1" {
				t.Errorf("asked for %s", path)
			}
		}
	}
	if asked < 5 || asked > 9 {
		t.Errorf("asked %d times in %s", asked, g.now.is().Sub(began))
	}
	g.now.set(g.now.is().Add(5 * time.Minute))
	g.ask(502, `{"status":"failed"}`)
	g.wants(950, 50)
	g.now.set(g.now.is().Add(5 * time.Minute))
	g.ask(200, `{"status":"failed"}`)
	g.wants(1000, 0)
	g.now.set(g.now.is().Add(time.Hour))
	if paths := g.ask(200, `{}`); len(paths) != 0 {
		t.Errorf("asked for a job that has ended: %q", paths)
	}
}

func TestAJobThatIsLost(t *testing.T) {
	g := newGate(t, "basic")
	g.job("v1")
	g.now.set(g.now.is().Add(47 * time.Hour))
	g.ask(200, `{}`)
	g.wants(950, 50)
	g.now.set(g.now.is().Add(2 * time.Hour))
	g.ask(200, `{}`)
	g.wants(950, 0)
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
	c.Settle(g.Context(), Answered, []byte("kept"))
	for _, status := range []string{"queued", "completed"} {
		if again := g.replayed(ask()); string(again.Answer) != "kept" || string(again.Charge.ID) != c.Info().ID {
			t.Errorf("%s: %+v", status, again)
		}
		g.answered(get("/v1/videos/v1"), 200, jsonType, `{"status":"completed"}`)
	}
	g.wants(950, 0)
}

func TestAJobOutlivesTheLease(t *testing.T) {
	g := newGate(t, "basic")
	c := g.job("v1")
	if !g.m.writer.Renew(ledger.ChargeID(c.Info().ID)) {
		t.Error("the hold of the job is not there any more")
	}
	g.answered(get("/v1/videos/v1"), 200, jsonType, `{"status":"completed"}`)
	g.wants(950, 0)
	if g.m.writer.Renew(ledger.ChargeID(c.Info().ID)) || g.m.Jobs.open.IsOpen(ledger.ChargeID(c.Info().ID)) {
		t.Error("a job that has ended is still looked after")
	}
}
