package writer

import (
	"errors"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store/memory"
)

// timeline is a wall clock and a monotonic one that a test moves apart.
type timeline struct {
	stopwatch
	wall time.Time
	told []error
}

func (l *timeline) options() Options {
	return Options{Now: func() time.Time { return l.wall }, Elapsed: l.elapsed, Problem: func(err error) { l.told = append(l.told, err) }}
}

// both lets time go by as it does; jump moves only the wall clock.
func (l *timeline) both(d time.Duration) { l.pass(d); l.wall = l.wall.Add(d) }
func (l *timeline) jump(d time.Duration) { l.wall = l.wall.Add(d) }

func startLine() *timeline {
	return &timeline{wall: time.Date(2026, 11, 12, 12, 0, 0, 0, time.UTC)}
}

func available(t *testing.T, b *Writer) int64 {
	t.Helper()
	a, err := b.Account(ctx, "acme")
	if err != nil {
		t.Fatal(err)
	}
	left, _ := a.Available(b.Now())
	return int64(left)
}

func TestAClockThatJumpsAheadExpiresNothingUntilConfirmed(t *testing.T) {
	l, s := startLine(), memory.New()
	b := open(t, s, l.options())
	must(t, b, "acme", ledger.Open{ID: "acme"})
	must(t, b, "acme", ledger.Give{Grant: "gr_1", Type: "top_up", Amount: 70, ExpiresAt: l.wall.Add(48 * time.Hour)})
	l.both(10 * time.Second)
	before := b.Now()
	l.jump(60 * 24 * time.Hour) // somebody set the year wrong
	if got := available(t, b); got != 570 {
		t.Errorf("%d available after the jump, want the same 570", got)
	}
	l.both(time.Minute)
	if got := b.Now(); !got.Equal(before.Add(time.Minute)) {
		t.Errorf("the ledger's clock shows %s, want %s", got, before.Add(time.Minute))
	}
	must(t, b, "acme", reserve(1, 20)) // requests go on
	if len(l.told) != 1 || !errors.Is(l.told[0], ErrClockJumped) || !errors.Is(b.Clock().Problem(), ErrClockJumped) {
		t.Errorf("told %v", l.told)
	}
	b.Clock().Confirm()
	if got := available(t, b); got != 500 || b.Clock().Problem() != nil {
		t.Errorf("%d available after the confirmation, want a new month's 500; %v", got, b.Clock().Problem())
	}
	b.Close()
	clean(t, s)
}

func TestAClockThatIsSetBackAgainNeedsNoConfirmation(t *testing.T) {
	l, s := startLine(), memory.New()
	b := open(t, s, l.options())
	must(t, b, "acme", ledger.Open{ID: "acme"})
	l.jump(40 * 24 * time.Hour)
	if got := available(t, b); got != 500 || b.Clock().Problem() == nil {
		t.Errorf("%d available, %v", got, b.Clock().Problem())
	}
	l.jump(-40 * 24 * time.Hour)
	l.both(time.Hour)
	if got := b.Now(); !got.Equal(l.wall) || b.Clock().Problem() != nil {
		t.Errorf("%s, want %s; %v", got, l.wall, b.Clock().Problem())
	}
	for range 100 { // corrections below the limit are none
		l.both(time.Minute)
		l.jump(4 * time.Minute)
		b.Now()
	}
	if len(l.told) != 1 {
		t.Errorf("told %v", l.told)
	}
	b.Close()
	clean(t, s)
}

func TestTheClockNeverGoesBackNotEvenOverARestart(t *testing.T) {
	l, s := startLine(), memory.New()
	b := open(t, s, l.options())
	must(t, b, "acme", ledger.Open{ID: "acme"})
	l.both(time.Hour)
	must(t, b, "acme", reserve(1, 10))
	last := b.Now()
	l.jump(-30 * time.Minute)
	if got := b.Now(); got.Before(last) {
		t.Errorf("%s after %s", got, last)
	}
	b.Close()
	l.jump(-3 * time.Hour)
	b = open(t, s, l.options())
	if got := b.Now(); got.Before(last) {
		t.Errorf("%s after %s and a restart", got, last)
	}
	if len(l.told) != 1 || !errors.Is(l.told[0], ErrClockBehind) {
		t.Errorf("told %v", l.told)
	}
	b.Close()
	clean(t, s)
}

func TestAGapWhileTheProcessWasDownIsNormal(t *testing.T) {
	l, s := startLine(), memory.New()
	b := open(t, s, l.options())
	must(t, b, "acme", ledger.Open{ID: "acme"})
	must(t, b, "acme", reserve(1, 100))
	must(t, b, "acme", ledger.Settle{Charge: "ch_1", Cost: 100})
	b.Close()
	l.jump(45 * 24 * time.Hour)
	b = open(t, s, l.options())
	if got := available(t, b); got != 500 || len(l.told) != 0 {
		t.Errorf("%d available after six weeks, want a new month's 500; told %v", got, l.told)
	}
	b.Close()
	clean(t, s)
}

func TestTheClockIsPersistedAtMostOnceASecond(t *testing.T) {
	l, s := startLine(), memory.New()
	b := open(t, s, l.options())
	must(t, b, "acme", ledger.Open{ID: "acme"})
	first := b.clock.persisted
	l.both(900 * time.Millisecond)
	must(t, b, "acme", reserve(1, 1))
	if second := b.clock.persisted; first.IsZero() || !second.Equal(first) {
		t.Errorf("written at %s and at %s", first, second)
	}
	l.both(200 * time.Millisecond)
	must(t, b, "acme", reserve(2, 1))
	if third := b.clock.persisted; !third.Equal(l.wall) {
		t.Errorf("written at %s, want %s", third, l.wall)
	}
	b.Close()
}

// The real clock carries its own monotonic reading.
func TestTheRealClockIsGuarded(t *testing.T) {
	if newClock(&Options{Now: time.Now}).elapsed == nil {
		t.Error("time.Now without a guard")
	}
	if newClock(&Options{Now: func() time.Time { return time.Unix(0, 0) }}).elapsed != nil {
		t.Error("a clock of a test with a guard")
	}
}
