package account_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/account/intake"
	"github.com/farebox-dev/farebox/meter/directory"
)

func (f *fixture) importLines(text string, dry bool) *account.Imported {
	f.Helper()
	r, err := f.Import(f.Context(), intake.JSONLines(strings.NewReader(text)), dry)
	if err != nil {
		f.Fatal(err)
	}
	return r
}

func (f *fixture) importCSV(text string) *account.Imported {
	f.Helper()
	list, err := intake.CSV(strings.NewReader(text))
	if err != nil {
		f.Fatal(err)
	}
	r, err := f.Import(f.Context(), list, false)
	if err != nil {
		f.Fatal(err)
	}
	return r
}

const foreign = "sk-elsewhere-0123456789"

func TestImport(t *testing.T) {
	f := newFixture(t)
	const list = `{"id":"acme","name":"Acme","email":"mira@acme.example","plan":"team","renews_at":"2026-11-20","balances":[{"amount":"50","expires":"90 days"},{"type":"courtesy","amount":"7","expires":"2026-12-01"}],"members":[{"id":"ci","role":"viewer"}],"keys":[{"secret":"sk-elsewhere-0123456789","name":"prod","member":"mira@acme.example"}]}

{"id":"beta","suspended":true}`
	if r := f.importLines(list, true); r.Created != 2 || r.Failed != 0 {
		t.Fatalf("dry run: %+v", r)
	}
	if _, err := f.Get(t.Context(), "acme"); err == nil {
		t.Fatal("a dry run opens an account")
	}
	r := f.importLines(list, false)
	if r.Lines != 2 || r.Created != 2 || r.Members != 2 || r.Keys != 1 || r.Plans["team"] != 1 || r.Plans["basic"] != 1 || r.Balances["top_up"] != 50 || r.Balances["courtesy"] != 7 {
		t.Errorf("%+v", r)
	}
	if n := f.available("acme"); n != 557 {
		t.Errorf("acme has %d credits", n)
	}
	a, err := f.Get(t.Context(), "acme")
	if err != nil || a.Name != "Acme" || a.Sub.Plan != "team" || a.Sub.End.Format("2006-01-02") != "2026-11-20" {
		t.Errorf("%v %+v", err, a.Sub)
	}
	if b, err := f.Get(t.Context(), "beta"); err != nil || !b.Suspended || b.Sub.Plan != "basic" {
		t.Errorf("%v %+v", err, b)
	}
	k, err := f.directory.Keys.Find(foreign)
	if err != nil || k.Account != "acme" || k.Name != "prod" || k.Member != "mira@acme.example" || strings.Contains(k.Hint, "where") {
		t.Errorf("%v %+v", err, k)
	}
	if m, err := f.directory.Members.Get("acme", "mira@acme.example"); err != nil || m.Role != directory.RoleAdmin || m.Email != m.ID {
		t.Errorf("%v %+v", err, m)
	}
	if m, err := f.directory.Members.Get("acme", "ci"); err != nil || m.Role != directory.RoleViewer {
		t.Errorf("%v %+v", err, m)
	}
	for _, dry := range []bool{true, false} {
		if r := f.importLines(list, dry); r.Created != 0 || r.Unchanged != 2 || r.Failed != 0 {
			t.Errorf("again, dry %v: %+v", dry, r)
		}
	}
	if n := f.available("acme"); n != 557 {
		t.Errorf("acme has %d credits after it was imported again", n)
	}
}

func TestAnImportThatChangedIsAProblem(t *testing.T) {
	f := newFixture(t)
	f.create("made", "")
	f.importLines(`{"id":"acme"}`, false)
	for _, dry := range []bool{true, false} {
		r := f.importLines(`{"id":"acme","balances":[{"amount":"9"}]}`+"\n"+`{"id":"made"}`, dry)
		if r.Failed != 2 || len(r.Problems) != 2 || !strings.Contains(r.Problems[0].Problem, "does not change accounts") || r.Problems[1].Line != 2 {
			t.Errorf("%+v", r)
		}
	}
	if n := f.available("acme"); n != 100 {
		t.Errorf("acme has %d", n)
	}
}

func TestImportCSV(t *testing.T) {
	f := newFixture(t)
	r := f.importCSV("\ufeffID;name;balance;expires;balance:courtesy;members;keys;suspended\r\nacme;\"Acme; \"\"Inc.\"\"\nLtd\";50;2026-12-24;0;mira@acme.example admin; sk-elsewhere-0123456789 sk-elsewhere-9876543210;no\r\nbeta;;;;5;;;yes\r\n")
	if r.Created != 2 || r.Members != 1 || r.Keys != 2 || r.Balances["courtesy"] != 5 || f.available("acme") != 150 {
		t.Errorf("%+v", r)
	}
	if a, err := f.Get(t.Context(), "acme"); err != nil || a.Name != `Acme; "Inc."  Ltd` && a.Name != `Acme; "Inc." Ltd` {
		t.Errorf("%v %q", err, a.Name)
	}
	r = f.importCSV("id,balance:top_up,members\ngamma,50,mira@acme.example admin; ci viewer\nd,1\ne,1,a b c\n")
	if r.Created != 1 || r.Members != 2 || len(r.Problems) != 2 || r.Problems[0].Line != 3 || r.Problems[1].Line != 4 {
		t.Errorf("%+v", r)
	}
	for header, want := range map[string]string{
		"": "empty", "name,plan": "no column id", "id,id": "twice", "id,plann": `no column "plann"`, "id,expires:top_up": "balance:top_up", "id,balance:": "no column",
	} {
		if _, err := intake.CSV(strings.NewReader(header)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", header, err, want)
		}
	}
}

// All that is wrong is said at once, with the line, and no secret is repeated.
func TestImportProblems(t *testing.T) {
	f := newFixture(t)
	f.importLines(`{"id":"old","keys":[{"secret":"sk-elsewhere-0123456789"}]}`, false)
	hash := sha256.Sum256([]byte("another key that is long"))
	for _, tt := range []struct{ line, want string }{
		{`{"id":"a b"}`, "account id"},
		{`{}`, "account id"},
		{`{"id":"x","plan":"gold"}`, `no plan "gold"; the price file has basic, team`},
		{`{"id":"x","paln":"basic"}`, `unknown field "paln"`},
		{`{"id":"x","balances":[{"amount":5}]}`, `in quotes`},
		{`{"id":"x"} {}`, "text follows"},
		{`{"id":"x"`, "not JSON"},
		{`id,name`, "not JSON"},
		{`{"id":"x","balances":[{"amount":"ten"}]}`, `"ten"`},
		{`{"id":"x","balances":[{"amount":"0"}]}`, "more than 0"},
		{`{"id":"x","balances":[{"type":"top_up"}]}`, "no amount"},
		{`{"id":"x","balances":[{"amount":"5","expires":"tomorrow"}]}`, "2027-03-31"},
		{`{"id":"x","balances":[{"amount":"5","expires":"3 fortnights"}]}`, "90 days"},
		{`{"id":"x","balances":[{"amount":"5","expires":"2020-01-01"}]}`, "is over"},
		{`{"id":"x","balances":[{"amount":"9000000000000000000"}]}`, "too large"},
		{`{"id":"x","renews_at":"2027-11-01"}`, "renews_at"},
		{`{"id":"x","members":[{"id":"m","role":"boss"}]}`, "admin, member or viewer"},
		{`{"id":"x","members":[{"id":"m"},{"id":"m"}]}`, "twice"},
		{`{"id":"x","email":"mira"}`, "e-mail"},
		{`{"id":"x","keys":[{}]}`, "neither"},
		{`{"id":"x","keys":[{"secret":"short"}]}`, "5 characters"},
		{`{"id":"x","keys":[{"secret":"` + foreign + `"}]}`, "belongs to the account old"},
		{`{"id":"x","keys":[{"secret":"fb_live_0123456789012345"}]}`, "cut off"},
		{`{"id":"x","keys":[{"secret":"fb_op_0123456789012345678"}]}`, "not an API key"},
		{`{"id":"x","keys":[{"secret":"with a space 0123456789"}]}`, "header"},
		{`{"id":"x","keys":[{"sha256":"abc"}]}`, "64 hexadecimal digits"},
		{`{"id":"x","keys":[{"sha256":"$2b$10$N9qo8uLOickgx2ZMRZoMye"}]}`, "salted"},
		{`{"id":"x","keys":[{"secret":"another key","sha256":"` + hex.EncodeToString(hash[:]) + `"}]}`, "not by both"},
		{`{"id":"x","plan":"gold","balances":[{"amount":"ten"}]}`, `"ten"`},
		{`{"id":"y"}` + "\n" + `{"id":"y"}`, "line 1 already"},
		{`{"id":"y","keys":[{"secret":"sk-new-0123456789012"}]}` + "\n" + `{"id":"z","keys":[{"secret":"sk-new-0123456789012"}]}`, "is in line 1 already"},
		{`{"id":"x","name":"` + strings.Repeat("n", 300) + `"}`, "256"},
	} {
		r := f.importLines(tt.line, true)
		text := fmt.Sprint(r.Problems)
		if r.Failed != 1 || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %+v, want %q", tt.line, r, tt.want)
		}
		if strings.Contains(text, foreign) || strings.Contains(text, "0123456789012") {
			t.Errorf("%s: the problem repeats a key: %s", tt.line, text)
		}
		if strings.Contains(tt.line, "\n") {
			continue
		}
		if real := f.importLines(tt.line, false); fmt.Sprint(real.Problems) != text {
			t.Errorf("%s: a dry run says %s, an import %v", tt.line, text, real.Problems)
		}
	}
	if r := f.importLines(`{"id":"x","plan":"gold","balances":[{"amount":"ten"}],"renews_at":"soon"}`, true); len(r.Problems) != 3 {
		t.Errorf("not all problems: %+v", r.Problems)
	}
}

// A key is found by its text, in whichever form its hash was given.
func TestKeysByHash(t *testing.T) {
	f := newFixture(t)
	for i, form := range []func(h []byte) string{
		hex.EncodeToString,
		func(h []byte) string { return strings.ToUpper(hex.EncodeToString(h)) },
		func(h []byte) string { return "sha256:" + hex.EncodeToString(h) },
		base64.StdEncoding.EncodeToString,
		base64.RawURLEncoding.EncodeToString,
		func(h []byte) string { return "sha256-" + base64.StdEncoding.EncodeToString(h) },
	} {
		secret := fmt.Sprintf("a-key-of-others-%010d", i)
		hash := sha256.Sum256([]byte(secret))
		id := fmt.Sprintf("cus-%d", i)
		if r := f.importCSV("id,key_sha256\n" + id + "," + form(hash[:]) + "\n"); r.Created != 1 {
			t.Fatalf("%+v", r)
		}
		if k, err := f.directory.Keys.Find(secret); err != nil || k.Account != id {
			t.Errorf("%s: %v %+v", form(hash[:]), err, k)
		}
	}
}

// Keys of another form are not even looked up before some were imported.
func TestForeignKeysAreUnknownBefore(t *testing.T) {
	f := newFixture(t)
	if _, err := f.directory.Keys.Find(foreign); err == nil || !strings.Contains(err.Error(), "keys begin with") {
		t.Error(err)
	}
	f.importLines(`{"id":"acme","keys":[{"secret":"sk-elsewhere-0123456789"}]}`, false)
	if _, err := f.directory.Keys.Find(foreign + "x"); err == nil || !strings.Contains(err.Error(), "unknown") || strings.Contains(err.Error(), "keys begin with") {
		t.Error(err)
	}
}

func TestMemberThatWasLookedUpBeforeTheImport(t *testing.T) {
	f := newFixture(t)
	if err := f.directory.Members.Check("acme", "ci", false); err != nil { // remembered as unknown
		t.Fatal(err)
	}
	f.importLines(`{"id":"acme","members":[{"id":"ci","role":"viewer"}]}`, false)
	if err := f.directory.Members.Check("acme", "ci", false); err == nil {
		t.Error("a viewer spends")
	}
}
