package rate_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/rate"
)

func TestBurstThenEvery(t *testing.T) {
	l, now := rate.New(3, time.Second), time.Unix(1_000_000, 0)
	for i := range 3 {
		if wait := l.Take("a", now); wait > 0 {
			t.Fatalf("%d of the burst waits %v", i, wait)
		}
	}
	if wait := l.Take("a", now); wait != time.Second {
		t.Errorf("after the burst: wait %v", wait)
	}
	if wait := l.Take("b", now); wait > 0 {
		t.Errorf("another name waits %v", wait)
	}
	now = now.Add(1500 * time.Millisecond)
	if wait := l.Take("a", now); wait > 0 {
		t.Errorf("a second and a half later: wait %v", wait)
	}
	if wait := l.Take("a", now); wait != 500*time.Millisecond {
		t.Errorf("at once again: wait %v", wait)
	}
	now = now.Add(time.Hour)
	for i := range 4 {
		if wait := l.Take("a", now); (wait > 0) != (i == 3) {
			t.Errorf("%d after an hour: wait %v", i, wait)
		}
	}
}

// TestExactAtOnce: of many callers at once exactly the burst passes.
func TestExactAtOnce(t *testing.T) {
	l, now := rate.New(50, time.Minute), time.Unix(1_000_000, 0)
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 100 {
				if l.Take("a", now) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := passed.Load(); n < 50 || n > 66 { // each row counts for itself, and one that lags lets pass
		t.Errorf("%d passed", n)
	}
}

// TestOthersAreNotDisturbed: a thousand names that are used up leave others alone.
func TestOthersAreNotDisturbed(t *testing.T) {
	l, now := rate.New(5, time.Minute), time.Unix(1_000_000, 0)
	for n := range 1000 {
		for range 20 {
			l.Take("noisy"+strconv.Itoa(n), now)
		}
	}
	refused := 0
	for n := range 10_000 {
		if l.Take("quiet"+strconv.Itoa(n), now) > 0 {
			refused++
		}
	}
	if refused > 400 { // 0.12² of them share both cells with noisy ones; the quiet ones fill cells, too
		t.Errorf("%d of 10,000 were refused", refused)
	}
}
