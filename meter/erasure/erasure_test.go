package erasure_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/erasure"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Every kind of record has a rule: a new one cannot be forgotten.
func TestEveryKindHasARule(t *testing.T) {
	for _, k := range store.Kinds() {
		if erasure.Rules[k] == 0 {
			t.Errorf("what becomes of %s when an account is erased? Say so in Rules, do it, and fill some in TestNothingOfAPersonIsLeft", k)
		}
	}
	if len(erasure.Rules) != len(store.Kinds()) {
		t.Errorf("there are %d rules for %d kinds", len(erasure.Rules), len(store.Kinds()))
	}
}

const prices = `version: 1
credit: {name: credit, decimals: 3}
operations: {chat: {match: POST /v1/chat/completions, price: {per_request: 2}}}
labels: {project: header.X-Project}
plans: {basic: {credits: [{type: monthly, amount: 1000, every: month}], caps: [{per: member, amount: 500, every: month}]}}
default_plan: basic
alerts: [{below: 99.9%}]
`

// person is in every text of the customer.
const person = "zanzibar"

// places are the kinds of records, other than those of open sessions, that have a text
// of the person.
func places(t *testing.T, s store.Store) (kinds []string, where []string) {
	t.Helper()
	err := s.View(t.Context(), func(v store.Snapshot) error {
		for _, k := range store.Kinds() {
			err := v.Scan(store.ID{Kind: k}, false, func(id store.ID, value []byte) error {
				text := id.Name + "\n" + string(value)
				for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\"\\ \n:,", r) }) { // bytes in JSON
					if raw, err := base64.StdEncoding.DecodeString(part); err == nil {
						text += string(raw)
					}
				}
				if strings.Contains(strings.ToLower(text), person) {
					where = append(where, fmt.Sprintf("%s %q", k, text))
					if !slices.Contains(kinds, k.String()) {
						kinds = append(kinds, k.String())
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kinds, where
}

// customer is a ledger in which a person has left texts in all kinds of records.
func customer(t *testing.T) (*meter.Gateway, store.Store) {
	t.Helper()
	book, problems := pricefile.Load("pricing.yaml", []byte(prices))
	if book == nil {
		t.Fatal(problems)
	}
	now := time.Date(2026, 3, 27, 9, 0, 0, 0, time.UTC)
	s := memory.New()
	m, err := meter.Open(t.Context(), meter.Options{
		Store: s, Book: book, Text: []byte(prices), Now: func() time.Time { now = now.Add(time.Millisecond); return now },
		Endpoints: []event.Endpoint{{Name: "operator", Kind: "webhook", Address: "https://operator.example/"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	ctx := t.Context()
	ok := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	name, mail, admin := person+" Ltd", person+"@example.com", directory.RoleAdmin
	for _, id := range []string{"acme", "other"} {
		ok(m.Accounts.Create(ctx, id, name, ""))
	}
	ok(m.Directory.Members.Add(ctx, "acme", mail, directory.MemberChange{Name: &name, Email: &mail, Role: &admin}))
	secret, _, err := m.Directory.Keys.Create(ctx, directory.Key{Account: "acme", Member: mail, Name: name})
	ok(nil, err)
	ok(m.Accounts.Do(ctx, "acme", ledger.Give{Grant: "gr_1", Type: "promo", Name: name, Amount: 5000, Reason: name, Idempotency: name}))
	ok(m.Accounts.Do(ctx, "acme", ledger.SetAttributes{Name: &name, Reason: name}))
	ok(m.Directory.Profiles.Set(ctx, "acme", directory.ProfileChange{Labels: map[string]string{"contact": name}}))
	ok(m.Events.SetWebhook(ctx, "acme", "https://example.com/"+person))
	ok(m.Directory.Sessions.CreateLink(ctx, directory.Session{Seats: []directory.Seat{{Account: "acme", Role: admin}}, Member: mail}))
	for _, key := range []string{secret, ""} {
		caller := meter.Caller{Account: "acme", Member: mail}
		if key != "" {
			caller, err = m.Identify(key)
			ok(nil, err)
		}
		c, err := m.Admit(ctx, &meter.Request{Method: http.MethodPost, URI: "/v1/chat/completions", ContentType: "application/json", Caller: caller, Idempotency: name + key,
			Header: map[string][]string{"X-Project": {name}}, Body: []byte(`{"model":"m","messages":[]}`)})
		ok(nil, err)
		c.Begin(http.StatusOK, map[string][]string{"Content-Type": {"application/json"}})
		ok(c.Observe(ctx, []byte("{}")))
		c.End()
		c.Settle(ctx, meter.Answered, nil)
	}
	return m, s
}

func erase(t *testing.T, m *meter.Gateway) {
	t.Helper()
	of := erasure.Of{Accounts: m.Accounts, Directory: m.Directory, Events: m.Events, Upkeep: m.Upkeep}
	if err := of.Account(t.Context(), "acme", "ops@farebox"); err != nil {
		t.Fatal(err)
	}
}

func TestNothingOfAPersonIsLeft(t *testing.T) {
	m, s := customer(t)
	before, err := m.Accounts.Get(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	had, _ := places(t, s)
	for kind, rule := range erasure.Rules {
		// Sessions and results are found by hashes and ids, and have no text that is looked for here; a
		// checkpoint is made by the erasure, deliveries are made of the outbox.
		elsewhere := []store.Kind{store.SessionEnd, store.Checkpoint, store.Delivery, store.Notice}
		if rule <= erasure.Deleted && !slices.Contains(elsewhere, kind) && !slices.Contains(had, kind.String()) {
			t.Errorf("the customer left nothing in %s, so this test does not see whether that is erased", kind)
		}
	}
	for range 2 { // a second time finds nothing more to do
		erase(t, m)
		for _, at := range leftOf(t, s) {
			t.Errorf("the person is still in %s", at)
		}
		if r, err := writer.Verify(t.Context(), s); err != nil || !r.Clean() {
			t.Fatal(err, r)
		}
	}
	after, err := m.Accounts.Get(t.Context(), "acme")
	if err != nil || after.Spent != before.Spent || after.Issued < before.Issued || after.Name != "" || !after.Suspended {
		t.Errorf("%+v, %v", after, err)
	}
	said := ""
	if err := m.Reports.JournalBack(t.Context(), "acme", 0, func(e *ledger.Entry) bool {
		if e.Kind == ledger.KindErased {
			said = e.At.Format(time.DateOnly) + " " + e.Reason
		}
		return true
	}); err != nil || said != "2026-03-27 erased by ops@farebox" {
		t.Errorf("the journal says %q, %v", said, err)
	}
	if keys, err := m.Directory.Keys.List("acme"); err != nil || len(keys) != 1 || keys[0].RevokedAt.IsZero() {
		t.Errorf("%+v, %v", keys, err)
	}
	sessions := 0
	if err := s.View(t.Context(), func(v store.Snapshot) error {
		return v.Scan(store.ID{Kind: store.Session}, false, func(store.ID, []byte) error { sessions++; return nil })
	}); err != nil || sessions > 0 {
		t.Errorf("%d sessions are left, %v", sessions, err)
	}
}

// leftOf are the places that are not of the other customer, which has the same name.
func leftOf(t *testing.T, s store.Store) (list []string) {
	t.Helper()
	_, where := places(t, s)
	for _, at := range where {
		if !strings.Contains(at, "other") {
			list = append(list, at)
		}
	}
	return list
}

func TestAMemberIsErasedButForItsID(t *testing.T) {
	m, s := customer(t)
	if _, err := m.Directory.Members.EraseOne(t.Context(), "acme", person+"@example.com"); err == nil || !strings.Contains(err.Error(), "last admin") {
		t.Fatal(err)
	}
	admin := directory.RoleAdmin
	if _, err := m.Directory.Members.Add(t.Context(), "acme", "jon", directory.MemberChange{Role: &admin}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := m.Directory.Members.EraseOne(t.Context(), "acme", person+"@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	err := s.View(t.Context(), func(v store.Snapshot) error {
		for _, k := range []store.Kind{store.Member, store.Key} {
			err := v.Scan(store.ID{Kind: k}, false, func(id store.ID, value []byte) error {
				if text := strings.ReplaceAll(string(value), person+"@example.com\",\"role", ""); strings.Contains(text, "Ltd") || strings.Contains(text, `"email"`) {
					t.Errorf("%s %q: %s", k, id.Name, value)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !m.Directory.Members.Removed("acme", person+"@example.com") {
		t.Error("the member is back")
	}
	if r, err := writer.Verify(t.Context(), s); err != nil || !r.Clean() {
		t.Fatal(err, r)
	}
}
