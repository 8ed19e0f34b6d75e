package meter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/report"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

const noticeBook = `
version: 1
credit: {name: credit, worth: 0.10 USD, decimals: 0}
operations:
  image: {match: POST /v1/images, price: 10}
plans:
  basic: {credits: [{type: subscription, amount: 100, every: month}]}
  open:  {when_empty: overage, credits: [{type: subscription, amount: 20, every: month}]}
packs:
  p50: {credits: 50, price: 5 USD, expires: 30 days}
default_plan: basic
alerts: [{below: 20%}, {below: 5%}, {overage_above: 15}]
`

// listener keeps what it is sent, and can be made to fail.
type listener struct {
	mu     sync.Mutex
	got    []event.Event
	fail   error
	gone   bool
	called int
}

func (l *listener) Send(_ context.Context, _ event.Endpoint, e *event.Event) event.Answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.called++; l.fail != nil {
		return event.Answer{Err: l.fail, Gone: l.gone, Status: 500}
	}
	l.got = append(l.got, *e)
	return event.Answer{Status: 200}
}

func (l *listener) fails(err error, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail, l.gone = err, gone
}

func (l *listener) times() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.called
}

type noticed struct {
	*testing.T
	m      *Gateway
	began  time.Time
	passed atomic.Int64 // nanoseconds; the dispatcher reads the clock, too
	store  store.Store
	l      listener
	seen   int
}

func newNoticed(t *testing.T) *noticed {
	book, problems := pricefile.Load("pricing.yaml", []byte(noticeBook))
	if book == nil {
		t.Fatal(problems)
	}
	n := &noticed{T: t, began: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), store: memory.New()}
	var err error
	n.m, err = Open(t.Context(), Options{Store: n.store, Book: book, Now: n.time, Problem: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	n.listen()
	t.Cleanup(n.m.Close)
	return n
}

func (n *noticed) listen() {
	o := event.DeliveryOptions{Endpoints: []event.Endpoint{{Name: "hook", Kind: "webhook"}}, Sender: &n.l}
	if err := n.m.Events.Deliver(n.Context(), o); err != nil {
		n.Fatal(err)
	}
}

func (n *noticed) time() time.Time { return n.began.Add(time.Duration(n.passed.Load())) }

// later moves the clock, in steps that it believes.
func (n *noticed) later(d time.Duration) {
	n.passed.Add(int64(d))
	n.m.ConfirmClock()
	if err := n.m.Events.Sweep(n.Context()); err != nil {
		n.Fatal(err)
	}
}

// image makes requests for images; it returns how many were refused.
func (n *noticed) images(account string, count int) (refused int) {
	for range count {
		r := post("/v1/images", `{}`)
		r.Caller.Account = account
		c, err := n.m.Admit(n.Context(), r)
		if err != nil {
			refused++
			continue
		}
		c.Begin(200, nil)
		c.Settle(n.Context(), Answered, nil)
	}
	return refused
}

func (n *noticed) grant(id, key string) {
	if _, err := n.m.Accounts.Grant(n.Context(), id, account.GrantRequest{Pack: "p50", Reason: "paid", Idempotency: key}); err != nil {
		n.Fatal(err)
	}
}

// tells compares the types of events since the last call with what is expected.
func (n *noticed) tells(what string, want ...string) {
	n.Helper()
	var got []string
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		waiting := 0
		err := n.m.writer.Update(n.Context(), func(tx store.Tx) error {
			return tx.Scan(store.ID{Kind: store.Outbox}, false, func(store.ID, []byte) error { waiting++; return nil })
		})
		n.l.mu.Lock()
		got = nil
		for _, e := range n.l.got[n.seen:] {
			got = append(got, e.Type)
		}
		n.l.mu.Unlock()
		if err != nil || waiting == 0 || time.Now().After(deadline) {
			break
		}
	}
	n.seen += len(got)
	slices.Sort(got)
	slices.Sort(want)
	if strings.Join(got, " ") != strings.Join(want, " ") {
		n.Errorf("%s: told %q, want %q", what, got, want)
	}
}

func (n *noticed) open(account, plan string) {
	if _, err := n.m.Accounts.Create(n.Context(), account, "", plan); err != nil {
		n.Fatal(err)
	}
}

// A month of one account: exactly these messages, no more.
func TestAMonthOfMessages(t *testing.T) {
	n := newNoticed(t)
	n.open("acme", "basic")
	n.tells("a new account")
	n.images("acme", 8) // 20 left, which is not below 20 %
	n.tells("at the threshold")
	n.images("acme", 1)
	n.tells("below 20 %", event.Low)
	n.images("acme", 1)
	n.tells("nothing left", event.Low, event.Exhausted)
	if n.images("acme", 5) != 5 {
		t.Error("requests on an empty account were admitted")
	}
	n.tells("refused, and told already")
	n.later(30 * time.Hour)
	n.images("acme", 1)
	n.tells("refused the next day; nothing has changed since")
	n.grant("acme", "pay_1")
	n.tells("a payment", event.Granted, event.Recovered)
	n.grant("acme", "pay_1")
	n.tells("the same payment again")
	n.images("acme", 4)
	n.tells("10 left, and lifted clear of the threshold since", event.Low)
	n.images("acme", 1)
	n.tells("used up again, a day later", event.Low, event.Exhausted)
	n.grant("acme", "pay_2")
	n.tells("the next payment", event.Granted, event.Recovered)
	n.images("acme", 5)
	n.tells("used up within the same day: told today already")
	n.later(20 * 24 * time.Hour)
	n.grant("acme", "pay_3") // on 23 November, ends on 23 December
	n.tells("a third", event.Granted)
	n.later(9 * 24 * time.Hour) // 2 December: the account's next period
	n.tells("the renewal", event.PeriodClosed)
	n.later(16 * 24 * time.Hour) // 18 December
	n.tells("five days before the pack ends", event.Expiring)
	n.later(24 * time.Hour)
	n.tells("told once")
	n.later(6 * 24 * time.Hour)
	n.tells("it ended", event.Expired)
	n.later(10 * 24 * time.Hour)
	n.tells("January", event.PeriodClosed)
}

func TestHoveringAtAThresholdIsToldOnce(t *testing.T) {
	n := newNoticed(t)
	n.open("acme", "basic")
	n.images("acme", 9)
	n.tells("below", event.Low)
	for i := range 20 {
		n.later(26 * time.Hour)
		if i%2 == 0 { // 10 at a time, back to the threshold and below it again
			if _, err := n.m.Accounts.Grant(n.Context(), "acme", account.GrantRequest{Amount: "10", Reason: "goodwill", Idempotency: fmt.Sprint("g", i)}); err != nil {
				t.Fatal(err)
			}
		} else {
			n.images("acme", 1)
		}
	}
	n.tells("hovering for weeks", slices.Repeat([]string{event.Granted}, 10)...)
}

func TestOverageIsToldOnceAPeriodAndClosed(t *testing.T) {
	n := newNoticed(t)
	n.open("shop", "open")
	n.images("shop", 2)
	n.tells("the allowance is used up; overage goes on", event.Low)
	n.images("shop", 1)
	n.tells("the first overage", event.OverageBegan)
	n.images("shop", 1)
	n.tells("20 of overage", event.OverageAbove)
	n.images("shop", 3)
	n.tells("more of it")
	n.later(30 * 24 * time.Hour)
	n.tells("closed", event.PeriodClosed)
	n.l.mu.Lock()
	last := n.l.got[len(n.l.got)-1]
	n.l.mu.Unlock()
	if last.Data["overage"] != "50" || last.Data["overage_worth"] != "5 USD" || last.Data["account"] != "shop" {
		t.Errorf("period.closed says %v", last.Data)
	}
	n.images("shop", 3)
	n.tells("the next month", event.Low, event.OverageBegan)
}

func TestSubscriptionsRefundsAndKeys(t *testing.T) {
	n := newNoticed(t)
	n.open("acme", "basic")
	c, err := n.m.Admit(t.Context(), post("/v1/images", `{}`))
	if err != nil {
		t.Fatal(err)
	}
	c.Begin(502, nil)
	c.Settle(t.Context(), Answered, nil)
	n.tells("a request that failed gets its credits back, which is no news")
	n.images("acme", 1)
	var paid ledger.ChargeID
	_ = n.m.Reports.Charges(t.Context(), "acme", report.ChargeFilter{Where: map[string]string{"state": "charged"}}, func(c *ledger.Charge) bool { paid = c.ID; return false })
	if _, err := n.m.Accounts.Do(t.Context(), "acme", ledger.Refund{Charge: paid, Reason: "sorry", Idempotency: "r1"}); err != nil {
		t.Fatal(err)
	}
	n.tells("an operator's refund", event.Refunded)
	if _, _, err := n.m.Directory.Keys.Create(t.Context(), directory.Key{Account: "acme", Name: "laptop"}); err != nil {
		t.Fatal(err)
	}
	n.tells("a key", event.KeyCreated)
	if _, err := n.m.Accounts.Do(t.Context(), "acme", ledger.SetPlan{Plan: "open"}); err != nil {
		t.Fatal(err)
	}
	n.tells("another plan", event.PeriodClosed)
	if _, err := n.m.Accounts.Do(t.Context(), "acme", ledger.Cancel{}); err != nil {
		t.Fatal(err)
	}
	n.tells("cancelled at the end of the period")
	n.later(31 * 24 * time.Hour)
	n.tells("which is over", event.SubEnded, event.PeriodClosed)
}

// What could not be delivered waits, through a restart, and comes once.
func TestTheOutboxSurvivesFailuresAndARestart(t *testing.T) {
	n := newNoticed(t)
	n.l.fails(errors.New("out of order"), false)
	n.open("acme", "basic")
	n.grant("acme", "pay_1")
	wait(t, func() bool { return n.l.times() == 1 })
	n.m.Close()
	n.l.fails(nil, false)
	book, _ := n.m.Book()
	var err error
	if n.m, err = Open(t.Context(), Options{Store: n.store, Book: book, Now: n.time}); err != nil {
		t.Fatal(err)
	}
	defer n.m.Close()
	n.listen()
	n.m.Events.Wake()
	if err := n.m.writer.Update(t.Context(), func(store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if n.l.times() != 1 {
		t.Errorf("tried %d times before it was due", n.l.times())
	}
	n.later(10 * time.Second)
	n.m.Events.Wake()
	n.tells("after the restart", event.Granted)
	if n.l.times() != 2 {
		t.Errorf("tried %d times", n.l.times())
	}
}

func TestAnEndpointThatSaysGoneIsOffUntilSwitchedOn(t *testing.T) {
	n := newNoticed(t)
	n.l.fails(errors.New("gone"), true)
	n.open("acme", "basic")
	n.grant("acme", "pay_1")
	wait(t, func() bool { return len(n.m.Events.Endpoints()) == 0 })
	n.l.fails(nil, false)
	n.grant("acme", "pay_2")
	n.tells("off")
	if err := n.m.Events.SwitchOn(t.Context(), "hook"); err != nil {
		t.Fatal(err)
	}
	n.grant("acme", "pay_3")
	n.tells("on again", event.Granted)
	var failed string
	_ = n.m.Events.Outbox.List(t.Context(), func(d *event.Delivery) bool {
		if d.State == event.Failed {
			failed = d.ID
		}
		return true
	})
	if _, err := n.m.Events.Outbox.Redeliver(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	n.tells("sent again by hand", event.Granted)
	if _, err := n.m.Events.Outbox.Redeliver(t.Context(), "dlv_00"); !errors.Is(err, event.ErrNoDelivery) {
		t.Errorf("an unknown delivery: %v", err)
	}
}

func TestAnAccountsOwnWebhookGetsOnlyItsOwn(t *testing.T) {
	n := newNoticed(t)
	n.m.Events.Stop()
	if err := n.m.Events.Deliver(t.Context(), event.DeliveryOptions{Sender: &n.l}); err != nil {
		t.Fatal(err)
	}
	n.open("acme", "basic")
	n.open("other", "basic")
	w, err := n.m.Events.SetWebhook(t.Context(), "acme", "https://example.com/hook")
	if err != nil || !strings.HasPrefix(w.Secret, event.SecretPrefix) {
		t.Fatalf("%+v, %v", w, err)
	}
	n.grant("other", "pay_1")
	n.tells("somebody else's")
	n.grant("acme", "pay_2")
	n.tells("its own", event.Granted)
	if _, err := n.m.Events.SetWebhook(t.Context(), "acme", ""); err != nil {
		t.Fatal(err)
	}
	n.grant("acme", "pay_3")
	n.tells("removed")
}

func wait(t *testing.T, until func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !until(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 5 s")
		}
	}
}

// Events of what the start books for a process that died are sent, too: otherwise no one would learn of
// it otherwise.
func TestWhatADeadProcessLeftIsTold(t *testing.T) {
	n := newNoticed(t)
	n.open("acme", "basic")
	if _, err := n.m.Admit(t.Context(), post("/v1/images", `{}`)); err != nil {
		t.Fatal(err)
	}
	n.m.Close() // with the request still running
	n.tells("nothing so far")
	n.passed.Add(int64(40 * 24 * time.Hour))
	book, _ := n.m.Book()
	endpoints := []event.Endpoint{{Name: "hook", Kind: "webhook"}}
	m, err := Open(t.Context(), Options{Store: n.store, Book: book, Now: n.time, Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	waiting := 0
	_ = m.Events.Outbox.List(t.Context(), func(d *event.Delivery) bool {
		if d.Type == event.PeriodClosed && d.State == event.Pending {
			waiting++
		}
		return true
	})
	if waiting != 1 {
		t.Errorf("%d of it wait before anybody delivers", waiting)
	}
	n.m = m
	n.listen()
	n.tells("the month that ended meanwhile", event.PeriodClosed)
}

// A meter that is closed sends nothing more, and its sender is not called again.
func TestCloseEndsTheDeliveries(t *testing.T) {
	n := newNoticed(t)
	n.open("acme", "basic")
	release := make(chan struct{})
	slow := slowly{release}
	if err := n.m.Events.Deliver(t.Context(), event.DeliveryOptions{Endpoints: []event.Endpoint{{Name: "hook"}}, Sender: slow}); err != nil {
		t.Fatal(err)
	}
	n.grant("acme", "pay_1")
	<-release // it is under way
	began := time.Now()
	n.m.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %s", took)
	}
}

// slowly never answers.
type slowly struct{ began chan struct{} }

func (s slowly) Send(ctx context.Context, _ event.Endpoint, _ *event.Event) event.Answer {
	close(s.began)
	<-ctx.Done()
	return event.Answer{Err: ctx.Err()}
}

// Unpaid usage of an account is reported to the operator, once a day, and not
// the account.
func TestTheOperatorHearsOfWhatWasNotPaid(t *testing.T) {
	n := newNoticed(t)
	n.open("acme", "basic")
	overuse := func(id ledger.ChargeID, cost money.Amount) {
		t.Helper()
		for _, c := range []ledger.Command{
			ledger.Reserve{Charge: &ledger.Charge{ID: id, Operation: "image"}, Amount: 1, Plan: ledger.AnyPlan}, ledger.Settle{Charge: id, Cost: cost},
		} {
			if _, err := n.m.Accounts.Do(t.Context(), "acme", c); err != nil {
				t.Fatal(err)
			}
		}
	}
	overuse("ch_1", 130)
	n.tells("30 more than there is", event.Exhausted, event.Absorbed)
	n.l.mu.Lock()
	for _, e := range n.l.got {
		if e.Type != event.Absorbed {
			continue
		}
		if e.Data["credits"] != "30" || e.Data["charge"] != "ch_1" || e.Data["operation"] != "image" || e.Data["absorbed"] != "30" {
			t.Errorf("%+v", e.Data)
		}
		if own := (&event.Endpoint{Account: "acme"}); own.Wants(&e) {
			t.Error("the account's own webhook gets it")
		}
	}
	n.l.mu.Unlock()
	n.grant("acme", "pay_1")
	n.tells("more credits", event.Granted, event.Recovered)
	overuse("ch_2", 500)
	n.tells("the same day")
}
