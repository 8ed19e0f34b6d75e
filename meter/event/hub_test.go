package event_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/internal/ledgertest"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/report"
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

// noticed is a ledger whose events go to a listener.
type noticed struct {
	*ledgertest.Ledger
	l    listener
	seen int
}

// in runs a test with events in a bubble, whose clock does not wait. The ledger has a
// clock of its own.
func in(t *testing.T, test func(n *noticed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &noticed{Ledger: ledgertest.Open(t, noticeBook, "2026-11-02T09:00:00Z")}
		n.listen()
		test(n)
	})
}

func (n *noticed) listen() {
	n.deliver(event.DeliveryOptions{Endpoints: []event.Endpoint{{Name: "hook", Kind: "webhook"}}, Sender: &n.l})
}

func (n *noticed) deliver(o event.DeliveryOptions) {
	n.Helper()
	if err := n.Events.Deliver(n.Context(), o); err != nil {
		n.Fatal(err)
	}
}

// later moves the ledger's clock.
func (n *noticed) later(d time.Duration) {
	n.Helper()
	n.Pass(d)
	if err := n.Events.Sweep(n.Context()); err != nil {
		n.Fatal(err)
	}
}

// images makes charges of 10 credits; it returns how many were refused.
func (n *noticed) images(account string, count int) (refused int) {
	n.Helper()
	for range count {
		id, err := n.TryHold(account, ledger.Charge{Operation: "image"}, 10)
		if err != nil {
			refused++
			continue
		}
		n.Do(account, ledger.Settle{Charge: ledger.ChargeID(id), Cost: 10})
	}
	return refused
}

func (n *noticed) grant(id, key string) {
	n.Helper()
	if _, err := n.Accounts.Grant(n.Context(), id, account.GrantRequest{Pack: "p50", Reason: "paid", Idempotency: key}); err != nil {
		n.Fatal(err)
	}
}

// settle waits until the writer and the deliveries have nothing to do: a second of
// the bubble's clock, in which the writer gathers a batch.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// got compares the types of events since the last call with what is expected.
func (n *noticed) got(what string, want ...string) {
	n.Helper()
	settle()
	var got []string
	for _, e := range n.events()[n.seen:] {
		got = append(got, e.Type)
	}
	n.seen += len(got)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		n.Errorf("%s: sent %q, want %q", what, got, want)
	}
}

// events are all that were sent.
func (n *noticed) events() []event.Event {
	n.l.mu.Lock()
	defer n.l.mu.Unlock()
	return slices.Clone(n.l.got)
}

// A month of one account: exactly these messages, no more.
func TestAMonthOfMessages(t *testing.T) {
	in(t, func(n *noticed) {
		n.Create("acme", "basic")
		n.got("a new account")
		n.images("acme", 8) // 20 left, which is not below 20 %
		n.got("at the threshold")
		n.images("acme", 1)
		n.got("below 20 %", event.Low)
		n.images("acme", 1)
		n.got("nothing left", event.Low, event.Exhausted)
		if n.images("acme", 5) != 5 {
			n.Error("requests on an empty account were admitted")
		}
		n.got("refused, and sent already")
		n.later(30 * time.Hour)
		n.images("acme", 1)
		n.got("refused the next day; nothing has changed since")
		n.grant("acme", "pay_1")
		n.got("a payment", event.Granted, event.Recovered)
		n.grant("acme", "pay_1")
		n.got("the same payment again")
		n.images("acme", 4)
		n.got("10 left, and lifted clear of the threshold since", event.Low)
		n.images("acme", 1)
		n.got("used up again, a day later", event.Low, event.Exhausted)
		n.grant("acme", "pay_2")
		n.got("the next payment", event.Granted, event.Recovered)
		n.images("acme", 5)
		n.got("used up within the same day: sent today already")
		n.later(20 * 24 * time.Hour)
		n.grant("acme", "pay_3") // on 23 November, ends on 23 December
		n.got("a third", event.Granted)
		n.later(9 * 24 * time.Hour) // 2 December: the account's next period
		n.got("the renewal", event.PeriodClosed)
		n.later(16 * 24 * time.Hour) // 18 December
		n.got("five days before the pack ends", event.Expiring)
		n.later(24 * time.Hour)
		n.got("sent once")
		n.later(6 * 24 * time.Hour)
		n.got("it ended", event.Expired)
		all := n.events()
		last := all[len(all)-1]
		for field, want := range map[string]string{"type": "top_up", "name": "p50", "credits": "50"} {
			if last.Data[field] != want {
				n.Errorf("credits.expired: %s is %v, want %s", field, last.Data[field], want)
			}
		}
		n.later(10 * 24 * time.Hour)
		n.got("January", event.PeriodClosed)
	})
}

func TestHoveringAtAThresholdIsSentOnce(t *testing.T) {
	in(t, func(n *noticed) {
		n.Create("acme", "basic")
		n.images("acme", 9)
		n.got("below", event.Low)
		for i := range 20 {
			n.later(26 * time.Hour)
			if i%2 == 0 { // 10 at a time, back to the threshold and below it again
				if _, err := n.Accounts.Grant(n.Context(), "acme", account.GrantRequest{Amount: "10", Reason: "goodwill", Idempotency: fmt.Sprint("g", i)}); err != nil {
					n.Fatal(err)
				}
			} else {
				n.images("acme", 1)
			}
		}
		n.got("hovering for weeks", slices.Repeat([]string{event.Granted}, 10)...)
	})
}

func TestOverageIsSentOnceAPeriodAndClosed(t *testing.T) {
	in(t, func(n *noticed) {
		n.Create("shop", "open")
		n.images("shop", 2)
		n.got("the allowance is used up; overage goes on", event.Low)
		n.images("shop", 1)
		n.got("the first overage", event.OverageBegan)
		n.images("shop", 1)
		n.got("20 of overage", event.OverageAbove)
		n.images("shop", 3)
		n.got("more of it")
		n.later(30 * 24 * time.Hour)
		n.got("closed", event.PeriodClosed)
		all := n.events()
		last := all[len(all)-1]
		if last.Data["overage"] != "50" || last.Data["overage_worth"] != "5 USD" || last.Data["account"] != "shop" {
			n.Errorf("period.closed says %v", last.Data)
		}
		n.images("shop", 3)
		n.got("the next month", event.Low, event.OverageBegan)
	})
}

func TestSubscriptionsRefundsAndKeys(t *testing.T) {
	in(t, func(n *noticed) {
		n.Create("acme", "basic")
		n.Fail("acme", ledger.Charge{Operation: "image"}, 10)
		n.got("a request that failed gets its credits back, which is no news")
		n.images("acme", 1)
		var paid ledger.ChargeID
		_ = n.Reports.Charges(n.Context(), "acme", report.ChargeFilter{Where: map[string]string{"state": "charged"}}, func(c *ledger.Charge) bool { paid = c.ID; return false })
		if _, err := n.Accounts.Do(n.Context(), "acme", ledger.Refund{Charge: paid, Reason: "sorry", Idempotency: "r1"}); err != nil {
			n.Fatal(err)
		}
		n.got("an operator's refund", event.Refunded)
		if _, _, err := n.Directory.Keys.Create(n.Context(), directory.Key{Account: "acme", Name: "laptop"}); err != nil {
			n.Fatal(err)
		}
		n.got("a key", event.KeyCreated)
		if _, err := n.Accounts.Do(n.Context(), "acme", ledger.SetPlan{Plan: "open"}); err != nil {
			n.Fatal(err)
		}
		n.got("another plan", event.PeriodClosed)
		if _, err := n.Accounts.Do(n.Context(), "acme", ledger.Cancel{}); err != nil {
			n.Fatal(err)
		}
		n.got("cancelled at the end of the period")
		n.later(31 * 24 * time.Hour)
		n.got("which is over", event.SubEnded, event.PeriodClosed)
	})
}

// What could not be delivered waits, through a restart, and comes once.
func TestTheOutboxSurvivesFailuresAndARestart(t *testing.T) {
	in(t, func(n *noticed) {
		n.l.fails(errors.New("out of order"), false)
		n.Create("acme", "basic")
		n.grant("acme", "pay_1")
		settle()
		if n.l.times() != 1 {
			n.Errorf("tried %d times at first", n.l.times())
		}
		n.Reopen()
		n.l.fails(nil, false)
		n.listen()
		n.Events.Wake()
		settle()
		if n.l.times() != 1 {
			n.Errorf("tried %d times before it was due", n.l.times())
		}
		n.later(10 * time.Second)
		n.Events.Wake()
		n.got("after the restart", event.Granted)
		if n.l.times() != 2 {
			n.Errorf("tried %d times", n.l.times())
		}
	})
}

func TestAnEndpointThatSaysGoneIsOffUntilSwitchedOn(t *testing.T) {
	in(t, func(n *noticed) {
		n.l.fails(errors.New("gone"), true)
		n.Create("acme", "basic")
		n.grant("acme", "pay_1")
		settle()
		if all := n.Events.All(); len(all) != 1 || !all[0].Off {
			n.Errorf("still on: %+v", all)
		}
		n.l.fails(nil, false)
		n.grant("acme", "pay_2")
		n.got("off")
		if err := n.Events.SwitchOn(n.Context(), "hook"); err != nil {
			n.Fatal(err)
		}
		n.grant("acme", "pay_3")
		n.got("on again", event.Granted)
		var failed string
		_ = n.Events.Outbox.List(n.Context(), func(d *event.Delivery) bool {
			if d.State == event.Failed {
				failed = d.ID
			}
			return true
		})
		if _, err := n.Events.Outbox.Redeliver(n.Context(), failed); err != nil {
			n.Fatal(err)
		}
		n.got("sent again by hand", event.Granted)
		if _, err := n.Events.Outbox.Redeliver(n.Context(), "dlv_00"); !errors.Is(err, event.ErrNoDelivery) {
			n.Errorf("an unknown delivery: %v", err)
		}
	})
}

func TestAnAccountsOwnWebhookGetsOnlyItsOwn(t *testing.T) {
	in(t, func(n *noticed) {
		n.Events.Stop()
		n.deliver(event.DeliveryOptions{Sender: &n.l})
		n.Create("acme", "basic")
		n.Create("other", "basic")
		w, err := n.Events.SetWebhook(n.Context(), "acme", "https://example.com/hook")
		if err != nil || !strings.HasPrefix(w.Secret, event.SecretPrefix) {
			n.Fatalf("%+v, %v", w, err)
		}
		n.grant("other", "pay_1")
		n.got("somebody else's")
		n.grant("acme", "pay_2")
		n.got("its own", event.Granted)
		if _, err := n.Events.SetWebhook(n.Context(), "acme", ""); err != nil {
			n.Fatal(err)
		}
		n.grant("acme", "pay_3")
		n.got("removed")
	})
}

// An account looks at the last deliveries to its own webhook without a look at those of others. It sees whether the endpoint
// answered, and nothing of what the gateway knows of the network; the operator sees all.
func TestAnAccountSeesItsOwnLastDeliveriesWithoutTheNetworks(t *testing.T) {
	in(t, func(n *noticed) {
		n.Events.Stop()
		n.l.fails(errors.New("lookup db.internal on 10.0.0.2:53: it leads to 10.1.2.3, in a private network"), false)
		n.deliver(event.DeliveryOptions{Endpoints: []event.Endpoint{{Name: "hook", Kind: "webhook"}}, Sender: &n.l})
		n.Create("acme", "basic")
		w, err := n.Events.SetWebhook(n.Context(), "acme", "https://db.internal/hook")
		if err != nil {
			n.Fatal(err)
		}
		for i := range 25 {
			n.grant("acme", fmt.Sprint("pay_", i))
			n.Pass(time.Second)
		}
		settle()
		list, err := n.Events.Outbox.Latest(n.Context(), "acme", w.Endpoint("acme").Name)
		if err != nil || len(list) != 20 {
			n.Fatalf("%d deliveries, %v", len(list), err)
		}
		tried, full := 0, 0
		for i, d := range list {
			if strings.Contains(d.Error, "10.") || strings.Contains(d.Error, "internal") {
				n.Errorf("the account sees %q", d.Error)
			}
			if d.Error != "" {
				tried++
			}
			if i > 0 && d.ID >= list[i-1].ID || d.Account != "acme" {
				n.Errorf("%s of %s comes after %s", d.ID, d.Account, list[max(i-1, 0)].ID)
			}
		}
		_ = n.Events.Outbox.List(n.Context(), func(d *event.Delivery) bool {
			if strings.Contains(d.Error, "10.1.2.3") {
				full++
			}
			return true
		})
		if full == 0 || tried == 0 && list[0].Attempts > 0 {
			n.Errorf("%d errors in full for the operator, %d for the account", full, tried)
		}
		if list, err := n.Events.Outbox.Latest(n.Context(), "acme", "another"); err != nil || len(list) > 0 {
			n.Errorf("of another endpoint: %+v, %v", list, err)
		}
	})
}

// Events of what the start books for a process that died are sent, too.
func TestWhatADeadProcessLeftIsSent(t *testing.T) {
	in(t, func(n *noticed) {
		n.Create("acme", "basic")
		n.Hold("acme", ledger.Charge{Operation: "image"}, 10)
		n.Close() // with the request still running
		n.got("nothing so far")
		n.Pass(40 * 24 * time.Hour)
		n.Reopen(event.Endpoint{Name: "hook", Kind: "webhook"})
		waiting := 0
		_ = n.Events.Outbox.List(n.Context(), func(d *event.Delivery) bool {
			if d.Type == event.PeriodClosed && d.State == event.Pending {
				waiting++
			}
			return true
		})
		if waiting != 1 {
			n.Errorf("%d of it wait before anything delivers", waiting)
		}
		n.listen()
		n.got("the month that ended meanwhile", event.PeriodClosed)
	})
}

// A meter that is closed sends nothing more, and its sender is not called again.
func TestCloseEndsTheDeliveries(t *testing.T) {
	in(t, func(n *noticed) {
		n.Create("acme", "basic")
		release := make(chan struct{})
		slow := slowly{release}
		n.deliver(event.DeliveryOptions{Endpoints: []event.Endpoint{{Name: "hook"}}, Sender: slow})
		n.grant("acme", "pay_1")
		<-release // it is under way
		began := time.Now()
		n.Close()
		if took := time.Since(began); took > 5*time.Second {
			n.Errorf("closing took %s", took)
		}
	})
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
func TestTheOperatorLearnsWhatWasNotPaid(t *testing.T) {
	in(t, func(n *noticed) {
		n.Create("acme", "basic")
		overuse := func(id ledger.ChargeID, cost money.Amount) {
			n.Helper()
			for _, c := range []ledger.Command{
				ledger.Reserve{Charge: &ledger.Charge{ID: id, Operation: "image"}, Amount: 1, Plan: ledger.AnyPlan}, ledger.Settle{Charge: id, Cost: cost},
			} {
				n.Do("acme", c)
			}
		}
		overuse("ch_1", 130)
		n.got("30 more than there is", event.Exhausted, event.Absorbed)
		n.l.mu.Lock()
		for _, e := range n.l.got {
			if e.Type != event.Absorbed {
				continue
			}
			if e.Data["credits"] != "30" || e.Data["charge"] != "ch_1" || e.Data["operation"] != "image" || e.Data["absorbed"] != "30" {
				n.Errorf("%+v", e.Data)
			}
			if own := (&event.Endpoint{Account: "acme"}); own.Wants(&e) {
				n.Error("the account's own webhook gets it")
			}
		}
		n.l.mu.Unlock()
		n.grant("acme", "pay_1")
		n.got("more credits", event.Granted, event.Recovered)
		overuse("ch_2", 500)
		n.got("the same day")
	})
}
