package writer

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// An account leaves the memory, with its plan, when others need the room; one with
// an open hold stays. All of them are as they were when they come back.
func TestAccountsLeaveTheMemoryAndComeBack(t *testing.T) {
	was := maxCached
	maxCached = 16
	t.Cleanup(func() { maxCached = was })
	s := memory.New()
	b := open(t, s, Options{})
	name := func(i int) ledger.AccountID { return ledger.AccountID(fmt.Sprint("acme", i)) }
	for i := range 200 {
		if _, err := b.Do(ctx, name(i), ledger.Open{ID: name(i)}); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			if _, err := b.Do(ctx, name(i), reserve(i, 10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	known := 0
	for i := range 200 {
		if _, ok := b.Plan(name(i)); ok {
			known++
		} else if i%20 == 0 {
			t.Errorf("%s has an open hold, and is not in memory", name(i))
		}
	}
	if known > maxCached+1 {
		t.Errorf("%d accounts are in memory, the most is %d", known, maxCached)
	}
	for i := range 200 {
		a, err := b.Account(ctx, name(i))
		if err != nil {
			t.Fatal(err)
		}
		if want := i%20 == 0; (len(a.Holds) == 1) != want {
			t.Errorf("%s has %d holds", name(i), len(a.Holds))
		}
		if i%20 == 0 {
			if _, err := b.Do(ctx, name(i), ledger.Settle{Charge: reserve(i, 10).Charge.ID, Cost: 7}); err != nil {
				t.Error(err)
			}
		}
	}
	b.Close()
	if r, err := Verify(ctx, s); err != nil || !r.Clean() {
		t.Errorf("%+v, %v", r, err)
	}
}

// After a failed commit the accounts are read again, with their open holds.
func TestHoldsSurviveAFailedCommit(t *testing.T) {
	s := memory.New()
	b := open(t, s, Options{Now: time.Now})
	if _, err := b.Do(ctx, "acme", ledger.Open{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Do(ctx, "acme", reserve(1, 10)); err != nil {
		t.Fatal(err)
	}
	s.Fail = func() error { return errors.New("the disk is full") }
	if _, err := b.Do(ctx, "acme", reserve(2, 10)); err == nil {
		t.Fatal("a failed commit is acknowledged")
	}
	s.Fail = nil
	a, err := b.Account(ctx, "acme")
	if err != nil || len(a.Holds) != 1 {
		t.Errorf("%v, %v", a, err)
	}
}
