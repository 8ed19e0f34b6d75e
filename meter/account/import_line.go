package account

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/account/intake"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
)

// prepare makes a command of a line. problems are all that is wrong with it.
func (s *Accounts) prepare(l *intake.Line) (c ledger.Import, n *directory.Newcomers, problems []string) {
	p := &preparing{Accounts: s, problems: slices.Clone(l.Problems)}
	a := &l.Account
	if a.ID != "" || len(p.problems) == 0 {
		p.check(directory.ValidID(a.ID))
	}
	if a.Plan != "" && s.books.InForce().Plan(a.Plan) == nil {
		p.problem("there is no plan %q; the price file has %s", a.Plan, s.planNames())
	}
	if len(a.Name) > 256 {
		p.problem("the name has %d characters; an account's name has up to 256", len(a.Name))
	}
	c = ledger.Import{Open: ledger.Open{ID: ledger.AccountID(a.ID), Name: input.Printable(a.Name), Plan: a.Plan}, Suspended: a.Suspended}
	c.RenewsAt = p.instant("renews_at", a.RenewsAt)
	for i := range a.Balances {
		c.Balances = append(c.Balances, p.balance(&a.Balances[i]))
	}
	n, wrong := s.keys.Newcomers(a.ID, p.members(a), p.newKeys(a), directory.ProfileChange{Labels: a.Labels})
	for _, err := range wrong {
		p.check(err)
	}
	raw, err := json.Marshal(a)
	p.check(err)
	c.Hash = sha256.Sum256(raw)
	return c, n, p.problems
}

type preparing struct {
	*Accounts
	problems []string
}

func (p *preparing) problem(format string, args ...any) {
	p.problems = append(p.problems, fmt.Sprintf(format, args...))
}

func (p *preparing) check(err error) {
	if err != nil {
		p.problems = append(p.problems, problemText(err))
	}
}

// problemText is an error of input without the words that it is one.
func problemText(err error) string {
	return strings.TrimPrefix(err.Error(), input.ErrInvalid.Error()+": ")
}

// balance reads credits of a type.
func (p *preparing) balance(b *intake.Balance) ledger.Give {
	if b.Amount == "" {
		p.problem(`a balance has no amount; write one such as "250", or leave the balance out`)
		return ledger.Give{}
	}
	r := GrantRequest{Type: b.Type, Amount: b.Amount, Reason: "import"}
	if strings.Contains(b.Expires, " ") && !strings.Contains(b.Expires, ":") {
		r.Expires = b.Expires
	} else {
		r.ExpiresAt = p.instant("expires", b.Expires)
	}
	g, err := p.give(r)
	if err == nil && g.Amount <= 0 {
		err = input.Errorf("the balance of %s is %s; write more than 0, or leave it out", g.Type, b.Amount)
	}
	p.check(err)
	return g
}

// instant reads a day, which begins at midnight in the price file's time zone, or an
// instant.
func (p *preparing) instant(field, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	zone := p.books.InForce().Policies.Timezone
	if zone == nil {
		zone = time.UTC
	}
	at, err := time.ParseInLocation(time.DateOnly, text, zone)
	if err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	switch {
	case err != nil:
		p.problem("%s is %q; write a day such as 2027-03-31, or an instant such as 2027-03-31T12:00:00Z", field, text)
	case !at.After(p.now()):
		p.problem("%s is %q, which is over; write a time to come, or leave it out", field, text)
	}
	return at
}

// members are those of the line, and the person whose address it has as an admin.
func (p *preparing) members(a *intake.Account) []directory.NewMember {
	var list []directory.NewMember
	admin := directory.RoleAdmin
	known := a.Email == ""
	for i := range a.Members {
		m := &a.Members[i]
		known = known || m.Email == a.Email || m.ID == a.Email
		role := directory.Role(m.Role)
		if m.Role == "" {
			role = directory.RoleMember
		}
		list = append(list, directory.NewMember{ID: m.ID, MemberChange: directory.MemberChange{Name: &m.Name, Email: &m.Email, Role: &role}})
	}
	if !known {
		list = append(list, directory.NewMember{ID: a.Email, MemberChange: directory.MemberChange{Email: &a.Email, Role: &admin}})
	}
	return list
}

func (p *preparing) newKeys(a *intake.Account) []directory.NewKey {
	var list []directory.NewKey
	for _, k := range a.Keys {
		if k.Secret == "" && k.SHA256 == "" {
			p.problem("a key has neither secret nor sha256; give one of them")
			continue
		}
		list = append(list, directory.NewKey{Secret: k.Secret, SHA256: k.SHA256, Name: input.Printable(k.Name), Member: k.Member, ExpiresAt: p.instant("a key's expires", k.Expires)})
	}
	return list
}
