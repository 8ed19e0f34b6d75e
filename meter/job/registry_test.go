package job

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/farebox-dev/farebox/meter/concurrency"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/writer"
)

// fixture is a registry on a ledger; it runs in a synctest bubble, whose clock
// moves when the test waits.
type fixture struct {
	*testing.T
	*Registry
	store  *memory.Store
	ledger *writer.Writer

	underWay concurrency.Counter
}

func in(t *testing.T, test func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, store: memory.New()}
		f.start()
		f.do(ledger.Open{ID: "acme"})
		f.do(ledger.Give{Grant: "gr_1", Type: "top_up", Amount: 100})
		test(f)
		f.end()
	})
}

func (f *fixture) start() {
	f.Helper()
	problem := func(err error) { f.Error(err) }
	r, err := Load(f.Context(), f.store, &f.underWay, time.Now, problem)
	if err != nil {
		f.Fatal(err)
	}
	w, err := writer.Open(f.Context(), f.store, writer.Options{Now: time.Now, Terms: &ledger.Terms{Zone: time.UTC}, Abandoned: writer.ReleaseAll, Keep: r.IsOpen, Problem: problem})
	if err != nil {
		f.Fatal(err)
	}
	if err := r.Open(f.Context(), w, ownership.New(w, time.Now, problem)); err != nil {
		f.Fatal(err)
	}
	f.Registry, f.ledger = r, w
}

func (f *fixture) end() {
	f.Registry.Close()
	f.ledger.Close()
}

func (f *fixture) do(c ledger.Command) {
	f.Helper()
	if _, err := f.ledger.Do(f.Context(), "acme", c); err != nil {
		f.Fatal(err)
	}
}

// begin holds credits for a charge and begins its job.
func (f *fixture) begin(id string) *Job {
	f.Helper()
	charge := ledger.ChargeID("ch_" + id)
	f.do(ledger.Reserve{Charge: &ledger.Charge{ID: charge}, Amount: 10, Plan: ledger.AnyPlan})
	kept := make(chan struct{})
	f.Add(&Record{Account: "acme", Charge: string(charge), Operation: "clip", ID: id, Poll: "/clips/" + id, Lost: time.Now().Add(48 * time.Hour)}, nil, func() { close(kept) })
	<-kept
	return f.Find(Name("clip", id))
}

func (f *fixture) due(n int) (ids []ledger.ChargeID) {
	due, _ := f.Due(n)
	for _, j := range due {
		ids = append(ids, j.Charge)
	}
	return ids
}

func TestAJobIsFoundByNameAndPath(t *testing.T) {
	in(t, func(f *fixture) {
		j := f.begin("c1")
		if j == nil {
			f.Fatal("the job is not found by its name")
		}
		if f.Find("/clips/c1") != j {
			f.Error("the job is not found by its path")
		}
		if f.Find("/clips/c2", "") != nil {
			f.Error("a job is found by another's path")
		}
		f.AwaitResults(j, &Record{Account: "acme", Charge: "ch_c1", Operation: "clip", ID: "c1", Poll: "/clips/c1", Results: "/results/c1"})
		if f.Find("/results/c1") != j {
			f.Error("the job is not found by the path of its results")
		}
		f.Remove(j)
		time.Sleep(time.Second) // of the bubble's clock: the writer gathers a batch
		if f.Find(Name("clip", "c1"), "/clips/c1", "/results/c1") != nil {
			f.Error("a job that has ended is found")
		}
		if _, err := f.Read(f.Context(), "ch_c1"); err == nil {
			f.Error("the record of a job that has ended is left")
		}
	})
}

// A hold without a job is abandoned when its lease ends; that of a job is kept.
func TestTheLeaseOfAJobIsRenewed(t *testing.T) {
	in(t, func(f *fixture) {
		f.begin("c1")
		f.do(ledger.Reserve{Charge: &ledger.Charge{ID: "ch_alone"}, Amount: 10, Plan: ledger.AnyPlan})
		time.Sleep(5 * writer.DefaultLease) // of the bubble's clock
		a, err := f.ledger.Account(f.Context(), "acme")
		if err != nil {
			f.Fatal(err)
		}
		if a.Holds["ch_c1"] == nil {
			f.Error("the hold of the job was given up")
		}
		if a.Holds["ch_alone"] != nil {
			f.Error("a hold without a job was kept: the test shows nothing")
		}
	})
}

func TestJobsOutliveTheProcess(t *testing.T) {
	in(t, func(f *fixture) {
		f.begin("c1")
		f.begin("c2")
		f.do(ledger.Settle{Charge: "ch_c2", Cost: 5}) // and then the process dies
		f.end()
		f.start()
		if f.Find("/clips/c1") == nil {
			f.Error("an open job is lost")
		}
		if f.Find("/clips/c2") != nil {
			f.Error("a job whose charge was settled is still open")
		}
		a, err := f.ledger.Account(f.Context(), "acme")
		if err != nil {
			f.Fatal(err)
		}
		if a.Holds["ch_c1"] == nil {
			f.Error("the hold of an open job was resolved at the start")
		}
	})
}

func TestWhenJobsAreAskedFor(t *testing.T) {
	in(t, func(f *fixture) {
		j := f.begin("c1")
		time.Sleep(time.Hour)
		if ids := f.due(10); len(ids) != 0 {
			f.Errorf("%v are due although the gateway is not to ask", ids)
		}
		f.AskFirst(10 * time.Second)
		if ids := f.due(10); len(ids) != 0 {
			f.Errorf("%v are due at once", ids)
		}
		time.Sleep(10 * time.Second)
		if ids := f.due(10); len(ids) != 1 {
			f.Errorf("%v are due after 10 s, want ch_c1", ids)
		}
		if ids := f.due(10); len(ids) != 0 {
			f.Errorf("%v are due while the gateway asks", ids)
		}
		f.Asked(j)
		time.Sleep(14 * time.Second)
		if ids := f.due(10); len(ids) != 1 {
			f.Errorf("%v are due after the second pause, want ch_c1", ids)
		}
		for range 20 {
			f.Asked(j)
			time.Sleep(maxWait)
			if ids := f.due(10); len(ids) != 1 {
				f.Fatalf("%v are due after the longest pause, want ch_c1", ids)
			}
		}
		f.Asked(j)
		f.AskSoon(j)
		if ids := f.due(10); len(ids) != 0 {
			f.Errorf("%v are due less than a second after the last question", ids)
		}
		time.Sleep(minPause)
		if ids := f.due(10); len(ids) != 1 {
			f.Errorf("%v are due a second after a webhook, want ch_c1", ids)
		}
	})
}

func TestTheLongestWaitIsFirst(t *testing.T) {
	in(t, func(f *fixture) {
		f.AskFirst(10 * time.Second)
		f.begin("c1")
		time.Sleep(time.Second)
		f.begin("c2")
		time.Sleep(time.Minute)
		if ids := f.due(1); len(ids) != 1 || ids[0] != "ch_c1" {
			f.Errorf("%v is due first, want ch_c1", ids)
		}
	})
}

func TestAJobIsLostByAge(t *testing.T) {
	in(t, func(f *fixture) {
		f.AskFirst(time.Minute)
		j := f.begin("c1")
		time.Sleep(48*time.Hour + time.Second)
		due, lost := f.Due(10)
		if len(due) != 0 {
			f.Errorf("%d jobs are due, want none", len(due))
		}
		if len(lost) != 1 || lost[0] != j {
			f.Errorf("%d jobs are lost, want 1", len(lost))
		}
		if !f.BeginEnd(j) {
			f.Error("the first end of a job is not booked")
		}
		if f.BeginEnd(j) {
			f.Error("the end of a job is booked twice")
		}
		if _, lost := f.Due(10); len(lost) != 0 {
			f.Error("a job whose end is being booked is lost again")
		}
	})
}

func TestAQuestionHasNoSecretsOfItsRequest(t *testing.T) {
	r := &Record{Header: map[string][]string{"Authorization": {"x"}, "Cookie": {"x"}, "X-Custom": {"x"}, "Anthropic-Version": {"2023-06-01"}}}
	header := r.QuestionHeader()
	if len(header) != 1 || header["Anthropic-Version"] == nil {
		t.Errorf("the question has %v, want Anthropic-Version alone", header)
	}
}
