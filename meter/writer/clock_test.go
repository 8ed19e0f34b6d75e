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
	wall   time.Time
	told   []error
	synced bool
	asleep time.Duration
}

// Synchronised and Asleep implement Host.
func (l *timeline) Synchronised() bool    { return l.synced }
func (l *timeline) Asleep() time.Duration { return l.asleep }

func (l *timeline) options() Options {
	return Options{Now: func() time.Time { return l.wall }, Elapsed: l.elapsed, Host: l, Problem: func(err error) { l.told = append(l.told, err) }}
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
	if err := b.Clock().Confirm(); err != nil {
		t.Fatal(err)
	}
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
	if len(l.told) != 2 || !errors.Is(l.told[0], ErrClockBehind) || !errors.Is(l.told[1], ErrClockBehind) {
		t.Errorf("told %v, want one problem of each process", l.told)
	}
	b.Close()
	clean(t, s)
}

// down is a ledger whose process ends, and starts again d later by the system's clock.
// It has 40 credits for two days besides the 500 of the month.
func down(t *testing.T, l *timeline, d time.Duration, change func(*Options)) *Writer {
	t.Helper()
	s := memory.New()
	b := open(t, s, l.options())
	must(t, b, "acme", ledger.Open{ID: "acme"})
	must(t, b, "acme", ledger.Give{Grant: "gr_1", Type: "top_up", Amount: 40, ExpiresAt: l.wall.Add(47 * time.Hour)})
	b.Close()
	l.jump(d)
	o := l.options()
	change(&o)
	b = open(t, s, o)
	t.Cleanup(func() {
		b.Close()
		clean(t, s)
	})
	return b
}

func TestAStartTrustsAClockThatCanBeExplained(t *testing.T) {
	for name, x := range map[string]struct {
		gap    time.Duration
		seen   time.Duration // before the start; 0: no file says
		synced bool
		want   error
		left   int64
	}{
		"a day without a process":                 {gap: 24 * time.Hour, left: 540},
		"two days, on a machine without NTP":      {gap: 48 * time.Hour, want: ErrClockJumped, left: 540},
		"two days, with NTP":                      {gap: 48 * time.Hour, synced: true, left: 500},
		"40 days, idle until the last hour":       {gap: 40 * 24 * time.Hour, seen: time.Hour, left: 500},
		"40 days, idle for the first ten":         {gap: 40 * 24 * time.Hour, seen: 30 * 24 * time.Hour, want: ErrClockJumped, left: 500},
		"40 days ahead":                           {gap: 40 * 24 * time.Hour, want: ErrClockJumped, left: 540},
		"40 days ahead, and a file of the future": {gap: 40 * 24 * time.Hour, seen: -time.Hour, want: ErrClockJumped, left: 540},
		"an hour behind":                          {gap: -time.Hour, want: ErrClockBehind, left: 540},
		"an hour behind, with NTP":                {gap: -time.Hour, synced: true, want: ErrClockBehind, left: 540},
	} {
		t.Run(name, func(t *testing.T) {
			l := startLine()
			l.synced = x.synced
			b := down(t, l, x.gap, func(o *Options) {
				if x.seen != 0 {
					o.Seen = l.wall.Add(-x.seen)
				}
			})
			if got := available(t, b); got != x.left {
				t.Errorf("%d available, want %d", got, x.left)
			}
			if err := b.Clock().Problem(); !errors.Is(err, x.want) || (err == nil) != (x.want == nil) {
				t.Errorf("the clock's problem is %v, want %v", err, x.want)
			}
			if told := len(l.told); (told == 1) != (x.want != nil) || told > 1 {
				t.Errorf("told %v", l.told)
			}
			must(t, b, "acme", reserve(1, 20)) // in any case
		})
	}
}

// A machine that boots with a wrong clock is corrected by NTP a minute later.
func TestAWrongClockAtBootResolvesByItself(t *testing.T) {
	const day = 24 * time.Hour
	for name, x := range map[string]struct{ off, wrong time.Duration }{
		"ahead, after an hour":    {time.Hour, 40 * day},
		"ahead, after 20 days":    {20 * day, 40 * day},
		"behind, after an hour":   {time.Hour, -40 * day},
		"behind, after 20 days":   {20 * day, -40 * day},
		"by zones, after an hour": {time.Hour, -5 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			l := startLine()
			b := down(t, l, x.off+x.wrong, func(*Options) {})
			if got := available(t, b); got != 540 || b.Clock().Problem() == nil {
				t.Fatalf("%d available, want 540; %v", got, b.Clock().Problem())
			}
			l.both(time.Minute)
			l.jump(-x.wrong)
			l.synced = x.off > day // within a day, it is not even asked for
			if got := b.Now(); !got.Equal(l.wall) || b.Clock().Problem() != nil {
				t.Errorf("the ledger's clock shows %s, want %s; %v", got, l.wall, b.Clock().Problem())
			}
			l.synced = false
			l.jump(time.Hour) // from now on, time is measured
			if b.Now(); !errors.Is(b.Clock().Problem(), ErrClockJumped) {
				t.Errorf("a jump of an hour while the process runs was trusted: %v", b.Clock().Problem())
			}
		})
	}
}

func TestASuspendedMachineIsNoJump(t *testing.T) {
	l := startLine()
	b := down(t, l, 0, func(*Options) {})
	_ = b.Now()
	l.jump(9 * time.Hour)
	l.asleep += 9 * time.Hour
	if got := b.Now(); !got.Equal(l.wall) || b.Clock().Problem() != nil {
		t.Errorf("after a night: %s, want %s; %v", got, l.wall, b.Clock().Problem())
	}
	l.jump(9 * time.Hour) // the night has explained one jump
	if b.Now(); b.Clock().Problem() == nil {
		t.Error("a jump of nine hours was explained by the night before it")
	}
	l.synced = true // and what the host does not know of, its time servers do
	if got := b.Now(); !got.Equal(l.wall) || b.Clock().Problem() != nil {
		t.Errorf("with NTP: %s, want %s; %v", got, l.wall, b.Clock().Problem())
	}
}

// A clock that is behind cannot be confirmed: the ledger's never goes back by itself.
func TestAClockThatIsBehindIsNotConfirmed(t *testing.T) {
	l := startLine()
	b := down(t, l, -40*24*time.Hour, func(*Options) {})
	before := b.Now()
	if err := b.Clock().Confirm(); !errors.Is(err, ErrClockBehind) {
		t.Errorf("confirmed: %v", err)
	}
	l.both(time.Hour)
	if got := b.Now(); !got.Equal(before) {
		t.Errorf("the ledger's clock shows %s, want %s", got, before)
	}
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
	if c := newClock(&Options{Now: time.Now}); c.elapsed == nil || c.host != (thisHost{}) {
		t.Error("time.Now without a guard")
	}
	if s := (thisHost{}).Asleep(); s < 0 {
		t.Errorf("this machine was suspended for %s", s)
	}
	if newClock(&Options{Now: func() time.Time { return time.Unix(0, 0) }}).elapsed != nil {
		t.Error("a clock of a test with a guard")
	}
}
