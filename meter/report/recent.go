package report

import (
	"context"
	"errors"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/usage"
)

// Recent is an account and what it has used lately. A balance needs all of it: it is
// read in one go, as each question to the writer waits for the commit before it.
type Recent struct {
	Account *ledger.Account

	book  *pricebook.InForce
	now   time.Time
	first time.Time     // of its usage
	days  *usage.Report // full days of a Burn, by operation
	month *usage.Report // 30 days up to now, by operation
}

// Recent reads it. Everything that was settled before the call is in it.
func (rs *Reports) Recent(ctx context.Context, account string) (*Recent, error) {
	a, err := rs.writer.Account(ctx, ledger.AccountID(account))
	if err != nil {
		return nil, err
	}
	r := &Recent{Account: a, book: rs.books.InForce(), now: rs.writer.Now()}
	zone := r.book.Policies.Timezone
	today := calendar.At(r.now, calendar.Day, r.now, zone).Start
	from := calendar.At(r.now, calendar.Day, today.AddDate(0, 0, -BurnDays).Add(12*time.Hour), zone).Start
	r.days = usage.NewReport(usage.Query{From: from, To: today, Zone: zone, Interval: calendar.Day, By: "operation"})
	r.month = usage.NewReport(usage.Query{From: r.now.AddDate(0, 0, -30), To: r.now.Add(usage.Slot), By: "operation"})
	return r, rs.writer.View(ctx, func(s store.Snapshot) error { return r.read(s, account) })
}

func (r *Recent) read(s store.Snapshot, account string) error {
	from := store.ID{Kind: store.Usage, Account: account, Name: min(r.days.Start(), r.month.Start())}
	err := s.Scan(from, true, func(id store.ID, value []byte) error {
		_, err := r.days.Add(id.Name, value)
		more, errMonth := r.month.Add(id.Name, value)
		if err = errors.Join(err, errMonth); err == nil && !more {
			err = store.ErrStop
		}
		return err
	})
	if err != nil || r.days.Total.Zero() { // without usage, its beginning does not matter
		return err
	}
	from.Name = ""
	return s.Scan(from, true, func(id store.ID, _ []byte) error {
		k, err := usage.ParseName(id.Name)
		if r.first = k.At; err == nil {
			err = store.ErrStop
		}
		return err
	})
}
