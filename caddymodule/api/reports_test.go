package api

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
)

func TestUnknownParameters(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{
		"balance?tz=UTC", "usage?groupby=model", "usage?project=x&team=y", "charges?status=open", "charges?limit=0", "charges?limit=501", "charges?limit=1&limit=2",
		"usage?tz=Mars/Olympus", "usage?tz=Local", "usage?from=yesterday", "usage?period=7d&from=2026-03-01", "usage?from=2026-03-02&to=2026-03-01", "usage?interval=minute",
		"usage?from=2010-01-01&to=2026-01-01", "usage?format=focus", "charges?format=xml", "ledger?cursor=x", "charges?cursor=x", "usage/hints?format=csv", "balance/days?period=7d",
	} {
		w := s.wants(http.StatusBadRequest, "acme/mira", http.MethodGet, "v1/"+path, "")
		if !strings.Contains(w.Body.String(), "invalid_request") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	for method, x := range map[string][2]string{http.MethodPost: {"v1/keys", `{"nam":"x"}`}, http.MethodPut: {"v1/alerts", `{"below":["20%"],"above":[]}`}} {
		s.wants(http.StatusBadRequest, "acme/mira", method, x[0], x[1])
	}
}

// Pages of a list have every charge once, also while new ones come in between.
func TestPaging(t *testing.T) {
	s := newSite(t)
	made := map[string]int{}
	for range 23 {
		made[s.image("acme/mira")]++
	}
	seen, cursor, pages := map[string]int{}, "", 0
	for {
		var page List[ChargeView]
		s.gets("acme/mira", "v1/charges?limit=5&cursor="+url.QueryEscape(cursor), &page)
		for _, c := range page.Data {
			seen[c.ID]++
		}
		if pages++; page.NextCursor == "" {
			break
		}
		cursor = page.NextCursor
		s.image("acme/jon") // newer than all pages that are still to come
	}
	if pages != 5 || len(seen) != len(made) {
		t.Errorf("%d pages with %d charges, want 5 with %d", pages, len(seen), len(made))
	}
	for id, n := range made {
		if seen[id] != n {
			t.Errorf("%s is there %d times", id, seen[id])
		}
	}
	var first, second List[EntryView]
	s.gets("acme/mira", "v1/ledger?limit=4", &first)
	s.gets("acme/mira", "v1/ledger?limit=4&cursor="+first.NextCursor, &second)
	if len(second.Data) != 4 || second.Data[0].Seq != first.Data[3].Seq-1 {
		t.Errorf("the journal's pages: %+v then %+v", first, second)
	}
}

// A spreadsheet opens no formula that a client has put into a model's or a
// label's name, and numbers stay numbers.
func TestCSVIsHarmless(t *testing.T) {
	s := newSite(t)
	for _, evil := range []string{`=HYPERLINK("https://evil.example","x")`, "+1+1", "@SUM(A1)", "-2+3", "=cmd|' /C calc'!A0", "a,\"b\"\nc"} {
		s.chat("acme/mira", "gpt-5-mini", 10, 10, "X-Project", evil)
	}
	for _, path := range []string{"v1/charges?format=csv", "v1/usage?format=csv&group_by=project"} {
		w := s.wants(http.StatusOK, "acme/mira", http.MethodGet, path, "")
		if ct := w.Header().Get("Content-Type"); !strings.HasPrefix(ct, "text/csv") || !strings.Contains(w.Header().Get("Content-Disposition"), "attachment") {
			t.Errorf("%s: %s", path, ct)
		}
		rows, err := csv.NewReader(w.Body).ReadAll()
		if err != nil || len(rows) != 7 {
			t.Fatalf("%s: %d rows, %v", path, len(rows), err)
		}
		evils := 0
		for _, row := range rows[1:] {
			for _, cell := range row {
				if cell != "" && strings.ContainsRune("=+@\t\r", rune(cell[0])) || strings.HasPrefix(cell, "-") {
					t.Errorf("%s: a formula: %q", path, cell)
				}
				if strings.HasPrefix(cell, "'") {
					evils++
				}
			}
		}
		if evils != 5 {
			t.Errorf("%s: %d cells were made harmless, want 5", path, evils)
		}
	}
	for cell, want := range map[string]string{"-1.25": "-1.25", "-": "'-", "-1-1": "'-1-1", "1.5": "1.5", "": ""} {
		if got := harmless(cell); got != want {
			t.Errorf("harmless(%q) = %q, want %q", cell, got, want)
		}
	}
}

// The usage page, the exports, the journal and the balance are one total, in
// every time zone and cut into any interval, also over a change of the clocks.
func TestTotalsAreOne(t *testing.T) {
	s := newSite(t)
	for i := range 60 { // from 27 to 31 March 2026: Europe changes its clocks on the 29th
		switch i % 4 {
		case 0:
			s.image("acme/mira")
		case 1:
			s.chat("acme/jon", "gpt-5.4", 1000+i, 333)
		case 2:
			s.chat("acme/", "gpt-5-mini", 700, 11*i)
		default:
			s.used("acme/jon", "/v1/images", `{"n":2}`, http.StatusBadGateway)
		}
		s.now = s.now.Add(97 * time.Minute)
	}
	refunded := s.image("acme/mira")
	if _, err := s.m.Accounts.Do(t.Context(), "acme", ledger.Refund{Charge: ledger.ChargeID(refunded), Amount: 5000, Reason: "half of it"}); err != nil {
		t.Fatal(err)
	}
	var b BalanceView
	s.gets("acme/mira", "v1/balance", &b)
	available := amount(t, b.Available)
	want := 10_000_000 - available

	const span = "&from=2026-03-20&to=2026-04-10"
	for _, tz := range []string{"UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Auckland"} {
		for _, interval := range []string{"hour", "day", "week", "month"} {
			for _, by := range []string{"model", "member", "operation", "key"} {
				var u UsageView
				s.gets("acme/mira", "v1/usage?tz="+tz+"&interval="+interval+"&group_by="+by+span, &u)
				var sum money.Amount
				starts := map[time.Time]bool{}
				for _, at := range u.Intervals {
					starts[at.UTC()] = true
				}
				for _, l := range u.Data {
					sum += amount(t, l.Credits)
					if !starts[l.Start.UTC()] {
						t.Errorf("%s %s: a line at %s, which is no interval", tz, interval, l.Start)
					}
				}
				if got := amount(t, u.Total.Credits); got != want || sum != want {
					t.Errorf("%s by %s and %s: total %d, lines %d, want %d", tz, interval, by, got, sum, want)
				}
			}
		}
	}
	for path, column := range map[string]string{"v1/charges?format=csv": "credits", "v1/usage?format=csv&interval=day&tz=Asia/Kolkata" + span: "credits"} {
		if got := sumOf(t, s.wants(http.StatusOK, "acme/mira", http.MethodGet, path, "").Body, column); got != want {
			t.Errorf("%s sums to %d, want %d", path, got, want)
		}
	}
	var journal List[EntryView]
	var spent money.Amount
	for cursor := ""; ; cursor = journal.NextCursor {
		journal = List[EntryView]{}
		s.gets("acme/mira", "v1/ledger?limit=50&cursor="+cursor, &journal)
		for _, e := range journal.Data {
			for _, p := range e.Postings {
				if p.Book == "spent" {
					spent += amount(t, p.Amount)
				}
			}
		}
		if journal.NextCursor == "" {
			break
		}
	}
	if spent != want {
		t.Errorf("the journal has spent %d, want %d", spent, want)
	}
}

func amount(t *testing.T, text string) money.Amount {
	t.Helper()
	sign := money.Amount(1)
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		sign, text = -1, rest
	}
	a, err := money.ParseAmount(text, 3)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return sign * a
}

func sumOf(t *testing.T, text *bytes.Buffer, column string) (sum money.Amount) {
	t.Helper()
	rows, err := csv.NewReader(text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := -1
	for i, name := range rows[0] {
		if name == column {
			at = i
		}
	}
	if at < 0 || len(rows) < 2 {
		t.Fatalf("no column %s, or no rows: %v", column, rows[0])
	}
	for _, row := range rows[1:] {
		sum += amount(t, row[at])
	}
	return sum
}

func TestHints(t *testing.T) {
	s := newSite(t)
	s.chat("acme/mira", "gpt-5.4", 100_000, 10_000) // 25 + 15 credits; gpt-5-mini: 2.5 + 2
	s.chat("acme/mira", "gpt-5-mini", 1000, 1000)
	s.used("acme/jon", "/v1/images", `{"n":2,"quality":"hd"}`, nil) // 96; 48 without hd
	s.image("acme/jon")
	var h List[HintView]
	s.gets("acme/mira", "v1/usage/hints", &h)
	text := ""
	for _, x := range h.Data {
		text += fmt.Sprintf("%s %s>%s %s-%s=%s %s\n", x.Kind, x.Model, x.Cheaper, x.Credits, x.WouldCost, x.Saves, x.Worth)
	}
	if want := "base > 120-72=48 0.48 USD\nmodel gpt-5.4>gpt-5-mini 40-4.5=35.5 0.36 USD\n"; text != want {
		t.Errorf("hints\n%swant\n%s", text, want)
	}
	if s.gets("acme/jon", "v1/usage/hints", &h); len(h.Data) != 1 || h.Data[0].Operation != "image" {
		t.Errorf("jon's hints: %+v", h.Data)
	}
}

// The line of the balance passes through what was available then.
func TestTrail(t *testing.T) {
	s := newSite(t)
	want := map[string]string{}
	note := func(available string) {
		want[s.now.Truncate(24*time.Hour).Add(24*time.Hour).Format(time.DateOnly)] = available
	}
	for day := range 6 {
		s.image("acme/mira")
		if day == 2 {
			if _, err := s.m.Accounts.Grant(t.Context(), "acme", account.GrantRequest{Pack: "small", Idempotency: "p"}); err != nil {
				t.Fatal(err)
			}
		}
		a, err := s.m.Accounts.Get(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		available, _ := a.Available(s.now)
		note(available.Text(3))
		s.now = s.now.Add(24 * time.Hour)
	}
	var v TrailView
	s.gets("acme/mira", "v1/balance/days?tz=UTC", &v)
	compared := 0
	for _, p := range v.Past {
		if have, ok := want[p.At.Format(time.DateOnly)]; ok && p.At.Hour() == 0 {
			if compared++; p.Available != have {
				t.Errorf("at %s: %s, want %s", p.At, p.Available, have)
			}
		}
	}
	last := v.Past[len(v.Past)-1]
	if compared != 6 || last.Available != "9956" || !last.At.Equal(s.now) || v.Past[0].At.Before(time.Date(2026, 3, 27, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("%d points compared; the first is %+v, the last %+v", compared, v.Past[0], last)
	}
	if len(v.Coming) < 10 || v.Coming[0].Available != "9956" || v.Coming[1].Available >= v.Coming[0].Available {
		t.Errorf("the coming days: %+v", v.Coming)
	}
}

// Names come out as text, whatever is in them.
func TestNamesAreText(t *testing.T) {
	s := newSite(t)
	const evil = `<script>alert(1)</script>"'&`
	if _, err := s.m.Accounts.Create(t.Context(), "evil", evil, ""); err != nil {
		t.Fatal(err)
	}
	secret, _, err := s.m.Directory.Keys.Create(t.Context(), directory.Key{Account: "evil"})
	if err != nil {
		t.Fatal(err)
	}
	w := s.wants(http.StatusOK, secret, http.MethodGet, "v1/balance", "")
	var v BalanceView
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || v.Name != evil || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		t.Errorf("%v %q %v", err, v.Name, w.Header())
	}
	token, err := s.m.Directory.Sessions.CreateLink(t.Context(), directory.Session{Seats: []directory.Seat{{Account: "evil", Role: directory.RoleAdmin}}})
	if err != nil {
		t.Fatal(err)
	}
	if page := s.wants(http.StatusOK, "", http.MethodGet, "open/"+token, "").Body.String(); strings.Contains(page, "<script") {
		t.Error(page)
	}
}
