// Package concurrency counts what is under way at the same time: for each account,
// member and key. It keeps no more in memory than what is under way.
package concurrency

import (
	"fmt"
	"hash/maphash"
	"sync"
)

// Caller is whose requests count together. Account is required; an empty Member or
// Key is not counted.
type Caller struct{ Account, Member, Key string }

// Limits are how many may be under way at once for the account, the member and the
// key of a caller. 0 is no limit.
type Limits struct{ Account, Member, Key int }

// Full is the error of a caller who has as many under way as it may.
type Full struct {
	Per   string // account, member or key
	Limit int
	Open  int // at least Limit; more if the limit was lowered meanwhile
}

func (f *Full) Error() string {
	return fmt.Sprintf("%d requests of this %s are under way, and %d may be at the same time", f.Open, f.Per, f.Limit)
}

// Least is the smaller of two limits.
func Least(a, b int) int {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// Counter counts. Its zero value is ready; its methods are safe for concurrent use.
// Everything is counted, with limits or without, so that a limit that is set later
// knows what is under way already.
type Counter struct{ shards [shardCount]shard }

const shardCount = 64

// shard counts for some accounts. All that one caller counts against is in one shard,
// so that one lock makes the decision.
type shard struct {
	mu   sync.Mutex
	open map[subject]int // never 0
}

type subject struct{ per, account, id string }

// pers are what is counted, in the order in which limits are checked.
var pers = [...]string{"key", "member", "account"}

func (w Caller) subject(per string) (s subject, counts bool) {
	id := pick(per, w.Key, w.Member, w.Account)
	return subject{per, w.Account, id}, id != ""
}

func (l Limits) of(per string) int { return pick(per, l.Key, l.Member, l.Account) }

func pick[T any](per string, key, member, account T) T {
	switch per {
	case "key":
		return key
	case "member":
		return member
	}
	return account
}

var seed = maphash.MakeSeed()

func (c *Counter) shard(account string) *shard {
	return &c.shards[maphash.String(seed, account)%shardCount]
}

// Place is one that is under way. Its zero value is none. It must not be copied; to
// hand it over, use Move.
type Place struct {
	of Caller
	in *shard // nil: it was left, or never taken
}

// Enter counts one more and puts it into p, which is empty. If it returns a *Full,
// nothing was counted.
func (c *Counter) Enter(w Caller, l Limits, p *Place) *Full {
	in := c.shard(w.Account)
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, per := range pers {
		s, counts := w.subject(per)
		if limit := l.of(per); counts && limit > 0 && in.open[s] >= limit {
			return &Full{Per: per, Limit: limit, Open: in.open[s]}
		}
	}
	in.add(w, 1)
	p.of, p.in = w, in
	return nil
}

// Resume counts one that was under way before a restart, whatever the limits are now.
func (c *Counter) Resume(w Caller, p *Place) { c.Enter(w, Limits{}, p) }

// Open is how many are under way for the account, the member and the key of a caller.
func (c *Counter) Open(w Caller) Limits {
	in := c.shard(w.Account)
	in.mu.Lock()
	defer in.mu.Unlock()
	n := func(per string) int {
		s, _ := w.subject(per)
		return in.open[s]
	}
	return Limits{Account: n("account"), Member: n("member"), Key: n("key")}
}

func (in *shard) add(w Caller, n int) {
	for _, per := range pers {
		s, counts := w.subject(per)
		if !counts {
			continue
		}
		if in.open == nil {
			in.open = map[subject]int{}
		}
		if in.open[s] += n; in.open[s] <= 0 {
			delete(in.open, s)
		}
	}
}

// Leave gives the place back. Leaving twice is leaving once; p may be nil.
func (p *Place) Leave() {
	if p == nil || p.in == nil {
		return
	}
	in := p.in
	in.mu.Lock()
	defer in.mu.Unlock()
	in.add(p.of, -1)
	p.in = nil
}

// Move hands the place over to another, which is empty. Afterwards p is empty, and to
// leave it does nothing.
func (p *Place) Move(to *Place) { to.of, to.in, p.in = p.of, p.in, nil }
