package meter

import (
	"context"
	"errors"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/store"
)

// jobRecord is where the charge of a job is found again. It belongs to the
// account that started the job: nobody else's question finds it.
func jobRecord(account ledger.AccountID, operation, id string) store.ID {
	return store.ID{Kind: store.Owned, Account: string(account), Name: "job " + operation + " " + id}
}

// rememberJob notes which charge has paid for the job that the answer started.
func (c *Charge) rememberJob() {
	if c.answer == nil {
		return
	}
	if id := c.price.JobID(c.answer); id != "" && len(id) < 512 {
		record := jobRecord(ledger.AccountID(c.req.Caller.Account), c.price.Operation().ID, id)
		c.m.bank.GoUpdate(func(tx store.Tx) error { return tx.Put(record, []byte(c.ID)) }, func(err error) {
			if err != nil {
				c.m.opt.Problem(err)
			}
		})
	}
}

func (m *Meter) jobCharge(account ledger.AccountID, operation, id string) (charge ledger.ChargeID) {
	err := m.bank.Update(context.Background(), func(tx store.Tx) error { // in order, so that a job just started is found
		v, err := tx.Get(jobRecord(account, operation, id))
		charge = ledger.ChargeID(v)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		m.opt.Problem(err)
	}
	return charge
}

// settleJob refunds a job whose status answer says that it has failed: once,
// since a second refund finds nothing left.
func (c *Charge) settleJob() {
	if c.job == "" || c.reader == nil {
		return
	}
	op, _, ok := c.book.JobFor(c.req.Method, c.req.URI)
	r := c.reader.Result()
	if ok && op.JobFailed(&pricing.Answer{Status: c.status, Header: c.header, Body: r.Body, ServiceTier: r.ServiceTier, Model: r.Model}) {
		c.m.bank.Go(ledger.AccountID(c.req.Caller.Account), ledger.Refund{Charge: c.job, Reason: "the job failed"}, func(_ ledger.Result, err error) {
			if err != nil {
				c.m.opt.Problem(err)
			}
		})
	}
	c.job = ""
}
