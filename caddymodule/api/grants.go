package api

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/farebox-dev/farebox/meter/account"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// GrantResult is the answer to a grant.
type GrantResult struct {
	Grant     GrantView `json:"grant"`
	Granted   string    `json:"granted"`
	Available string    `json:"available"`
	Unit      string    `json:"unit"`
	Replayed  bool      `json:"replayed,omitempty"`
}

// grantRequest is account.GrantRequest, whose fingerprint keeps the names that it
// has in Go.
type grantRequest struct {
	Pack      string          `json:"pack,omitempty"`
	Price     string          `json:"price,omitempty"` // of a pack with "credits: by_price", such as "25 USD"
	Type      string          `json:"type,omitempty"`
	Amount    string          `json:"amount,omitempty"`
	Expires   string          `json:"expires,omitempty"` // "90 days"
	ExpiresAt time.Time       `json:"expires_at,omitzero"`
	OnlyFor   selectorRequest `json:"only_for,omitzero"`
	NotFor    selectorRequest `json:"not_for,omitzero"`
	Reason    string          `json:"reason,omitempty"`
}

type selectorRequest struct {
	Operations []string `json:"operations,omitempty"`
	Features   []string `json:"features,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	Models     []string `json:"models,omitempty"`
}

// under is the grant with an idempotency key.
func (in *grantRequest) under(key string) account.GrantRequest {
	return account.GrantRequest{
		Pack: in.Pack, Price: in.Price, Type: in.Type, Amount: in.Amount, Expires: in.Expires, ExpiresAt: in.ExpiresAt,
		OnlyFor: selector.Selector(in.OnlyFor), NotFor: selector.Selector(in.NotFor), Reason: in.Reason, Idempotency: key,
	}
}

// GrantedView is what a grant to many accounts did, or would do.
type GrantedView struct {
	DryRun   bool                   `json:"dry_run,omitempty"`
	Accounts int                    `json:"accounts"` // that the filter selects
	Granted  int                    `json:"granted"`
	Before   int                    `json:"granted_before"` // under the same key
	Total    string                 `json:"total"`
	Unit     string                 `json:"unit"`
	Failed   int                    `json:"failed"`
	Problems []account.GrantProblem `json:"problems"` // the first 100
}

func (c *call) grantAll(in grantRequest) (GrantedView, error) {
	if in.Reason == "" {
		return GrantedView{}, invalid("a reason is required; the ledger keeps it")
	}
	q := c.URL.Query()
	dry := q.Get("dry_run") == "true"
	f, err := filterOf(q)
	if err != nil {
		return GrantedView{}, err
	}
	r, err := f.GrantAll(c.Context(), c.m.Accounts, in.under(c.key), dry)
	if err != nil {
		return GrantedView{}, err
	}
	return GrantedView{
		DryRun: dry, Accounts: r.Accounts, Granted: r.Granted, Before: r.Before, Total: c.text(r.Total), Unit: c.unit(), Failed: r.Failed,
		Problems: append([]account.GrantProblem{}, r.Problems...),
	}, nil
}

func (c *call) grant(in grantRequest) (GrantResult, error) {
	r, err := c.m.Accounts.Grant(c.Context(), c.who.account, in.under(c.key))
	if err != nil {
		return GrantResult{}, err
	}
	out := GrantResult{Granted: c.text(r.Amount), Available: c.text(r.Available), Unit: c.unit(), Replayed: r.Replayed}
	if r.Grant != nil {
		out.Grant = c.grantView(r.Grant, nil)
	} else if r.Remember != nil {
		out.Grant.ID = string(r.Remember.Grant)
	}
	return out, nil
}

type reasonRequest struct {
	Reason string `json:"reason"`
}

func (c *call) void(in reasonRequest) (MovedView, error) {
	if in.Reason == "" {
		return MovedView{}, fmt.Errorf("%w: a reason is required; the ledger keeps it", input.ErrInvalid)
	}
	grant := c.PathValue("grant")
	account, err := c.owner(grant)
	if err != nil {
		return MovedView{}, err
	}
	r, err := c.m.Accounts.Do(c.Context(), account, ledger.Void{Grant: ledger.GrantID(grant), Reason: in.Reason})
	if err != nil {
		return MovedView{}, err
	}
	return MovedView{Account: account, ID: grant, Amount: c.text(r.Amount), Available: c.text(r.Available), Unit: c.unit()}, nil
}

// MovedView is what a refund or a void has moved.
type MovedView struct {
	Account   string `json:"account"`
	ID        string `json:"id"` // of the charge or grant
	Amount    string `json:"amount"`
	Available string `json:"available"`
	Unit      string `json:"unit"`
}

func (c *call) unit() string {
	b, _ := c.m.Book()
	return b.Credit.Plural
}

type refundRequest struct {
	Amount string `json:"amount,omitempty"`
	Reason string `json:"reason"`
}

func (c *call) refund(in refundRequest) (MovedView, error) {
	if in.Reason == "" {
		return MovedView{}, fmt.Errorf("%w: a reason is required; the ledger keeps it", input.ErrInvalid)
	}
	cmd := ledger.Refund{Charge: ledger.ChargeID(c.PathValue("charge")), Reason: in.Reason, Idempotency: c.key, Hash: fingerprint(struct{ Amount, Reason string }{in.Amount, in.Reason}, c.PathValue("charge"))}
	if in.Amount != "" {
		b, _ := c.m.Book()
		a, err := money.ParseAmount(in.Amount, b.Credit.Decimals)
		if err != nil || a == 0 {
			return MovedView{}, fmt.Errorf("%w: amount %q: write how much comes back, or leave it out for all of it", input.ErrInvalid, in.Amount)
		}
		cmd.Amount = a
	}
	account, err := c.owner(string(cmd.Charge))
	if err != nil {
		return MovedView{}, err
	}
	r, err := c.m.Accounts.Do(c.Context(), account, cmd)
	if err != nil {
		return MovedView{}, err
	}
	return MovedView{Account: account, ID: string(cmd.Charge), Amount: c.text(r.Amount), Available: c.text(r.Available), Unit: c.unit()}, nil
}

// fingerprint tells two requests under one idempotency key apart.
func fingerprint(parts ...any) [32]byte {
	b, err := json.Marshal(parts)
	if err != nil {
		return [32]byte{} // strings always marshal
	}
	return sha256.Sum256(b)
}

// owner is the account of the path, or the one that a grant or charge belongs to.
func (c *call) owner(of string) (string, error) {
	if id := c.PathValue("id"); id != "" {
		return id, nil
	}
	return c.m.Reports.Owner(c.Context(), of)
}
