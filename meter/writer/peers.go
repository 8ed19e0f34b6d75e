package writer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/ulid"
)

// Gateway is a process that works on a ledger which several share.
type Gateway struct {
	ID      string    `json:"id"`
	Host    string    `json:"host"`
	Process int       `json:"process"`
	Began   time.Time `json:"began"`
	Until   time.Time `json:"until"` // of the lease, by the database's clock
	Book    string    `json:"book,omitempty"`
}

// DefaultPresence is how long a gateway counts as alive after it was last heard of.
const DefaultPresence = 30 * time.Second

// refreshEvery bounds how old what a process keeps in memory may be.
const refreshEvery = 300 * time.Millisecond

// Peers are the gateways that share the ledger. Each renews a lease, by the database's
// clock. What a gateway leaves behind whose lease has ended, the others resolve; one that
// wakes after that begins anew, under another id. The one that has been there longest is
// on duty: it does what has to be done once.
//
// On a store that is not shared, this process is alone and always on duty.
type Peers struct {
	w        *Writer
	presence time.Duration
	book     func() string
	stop     context.CancelFunc
	working  sync.WaitGroup

	mu       sync.Mutex
	self     Gateway
	until    time.Time // of the lease, by this process's monotonic clock
	duty     bool
	resigned bool
	all      []Gateway // as of the last renewal
	told     []watching
	seen     map[store.Kind]uint64
}

type watching struct {
	kinds []store.Kind
	fn    func()
}

func newPeers(w *Writer) *Peers {
	p := &Peers{w: w, presence: w.opt.Presence, book: w.opt.BookDigest}
	if p.presence <= 0 {
		p.presence = DefaultPresence
	}
	return p
}

// open makes this process known to the others, and goes on to do so.
func (p *Peers) open(ctx context.Context) error {
	if p.w.db() == nil {
		return nil
	}
	seen, err := p.w.db().Versions(ctx)
	if err != nil {
		return err
	}
	p.seen = seen
	if err := p.renew(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.mu.Lock()
	p.stop = stop
	p.mu.Unlock()
	p.working.Go(func() { p.every(run, p.presence/3, p.attend) })
	p.working.Go(func() { p.every(run, refreshEvery, p.refresh) })
	return nil
}

// close says to the others that what is left is theirs.
func (p *Peers) close() {
	p.mu.Lock()
	stop := p.stop
	p.stop = nil
	p.mu.Unlock()
	if stop == nil {
		return
	}
	stop()
	p.working.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	id := p.name()
	_ = p.w.Update(ctx, func(tx store.Tx) error { return tx.Delete(gatewayID(id)) }) // else the lease ends by itself
}

func (p *Peers) every(ctx context.Context, pause time.Duration, do func(context.Context)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// attend renews the lease, and resolves what dead gateways have left, if it is our duty.
func (p *Peers) attend(ctx context.Context) {
	if err := p.renew(ctx); err != nil || !p.OnDuty() {
		return // the lease ends if it goes on like this; the ledger's own trouble is reported elsewhere
	}
	_ = p.w.View(ctx, func(s store.Snapshot) error { return p.resolve(s) })
}

func gatewayID(id string) store.ID { return store.ID{Kind: store.Gateway, Name: id} }

// margin is for what passes between the clocks of the database and of this process.
func (p *Peers) margin() time.Duration { return p.presence / 6 }

// forgetAfter is how long the record of a dead gateway is kept.
const forgetAfter = time.Hour

// renew extends the lease. After its end, it begins another one.
func (p *Peers) renew(ctx context.Context) error {
	began := time.Now()
	p.mu.Lock()
	resigned := p.resigned
	p.mu.Unlock()
	var self Gateway
	var alive []Gateway
	err := p.w.Update(ctx, func(tx store.Tx) error {
		now := p.w.clock.remote.at()
		all, err := gateways(tx)
		if err != nil {
			return err
		}
		self, alive = p.me(), nil
		for _, g := range all {
			switch {
			case g.ID == self.ID:
				self.Until = g.Until
			case g.Until.After(now):
				alive = append(alive, g)
			case now.Sub(g.Until) > forgetAfter:
				err = errors.Join(err, tx.Delete(gatewayID(g.ID)))
			}
		}
		if !self.Until.After(now) { // new, or given up by the others
			self.ID, self.Began = ulid.New("gw_", now), now
		}
		if resigned {
			self.Began = now
		}
		self.Until = now.Add(p.presence)
		alive = append(alive, self)
		raw, encodeErr := json.Marshal(self)
		return errors.Join(err, encodeErr, tx.Put(gatewayID(self.ID), raw))
	})
	if err != nil {
		return err
	}
	slices.SortFunc(alive, func(a, b Gateway) int { return a.Began.Compare(b.Began) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.self, p.until, p.all = self, began.Add(p.presence-p.margin()), alive
	p.duty = alive[0].ID == self.ID && !resigned
	return nil
}

// me is this process, as it is known so far.
func (p *Peers) me() Gateway {
	p.mu.Lock()
	g := p.self
	p.mu.Unlock()
	g.Until = time.Time{}
	g.Process = os.Getpid()
	g.Host, _ = os.Hostname()
	if p.book != nil {
		g.Book = p.book()
	}
	return g
}

func gateways(s store.Snapshot) (list []Gateway, err error) {
	err = s.Scan(store.ID{Kind: store.Gateway}, true, func(id store.ID, raw []byte) error {
		var g Gateway
		if err := json.Unmarshal(raw, &g); err != nil {
			return fmt.Errorf("reading the gateway %s: %w", id.Name, err)
		}
		list = append(list, g)
		return nil
	})
	return list, err
}

// AliveAt are the gateways that work on a store; none on one that is not shared.
func AliveAt(ctx context.Context, s store.Store) (alive []Gateway, err error) {
	db, ok := s.(store.Shared)
	if !ok {
		return nil, nil
	}
	err = db.UpdateAhead(ctx, &store.Ahead{}, func(tx store.SharedTx) error {
		all, err := gateways(tx)
		alive = slices.DeleteFunc(all, func(g Gateway) bool { return !g.Until.After(tx.Now()) })
		return err
	})
	return alive, err
}

// alive reports whether a gateway may still run its requests.
func (p *Peers) alive(s store.Snapshot, id string) (bool, error) {
	raw, err := s.Get(gatewayID(id))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	var g Gateway
	if err == nil {
		err = json.Unmarshal(raw, &g)
	}
	return err == nil && g.Until.After(p.w.clock.remote.at()), err
}

// resolve asks the writer to resolve the holds of dead gateways. It looks again at each.
func (p *Peers) resolve(s store.Snapshot) error {
	all, err := gateways(s)
	if err != nil {
		return err
	}
	now, alive := p.w.clock.remote.at(), map[string]bool{}
	for _, g := range all {
		alive[g.ID] = g.Until.After(now)
	}
	return s.Scan(store.ID{Kind: store.Hold}, false, func(id store.ID, _ []byte) error {
		if charge, owner := HeldCharge(id.Name); !alive[owner] {
			p.w.post(&job{account: ledger.AccountID(id.Account), lapsed: charge, why: "gateway stopped", answer: func(ledger.Result, error) {}})
		}
		return nil
	})
}

// name is the id under which this process has its holds.
func (p *Peers) name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.self.ID
}

// Shared reports whether other processes may write to the store, too.
func (p *Peers) Shared() bool { return p.w.db() != nil }

// OnDuty reports whether this process is the one that does what has to be done once:
// deliver events, poll jobs, sweep.
func (p *Peers) OnDuty() bool {
	if p.w.db() == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.duty && time.Now().Before(p.until)
}

// Gateways are those that are alive, the one on duty first; none on a store that is not
// shared.
func (p *Peers) Gateways() []Gateway {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

// OnChange calls fn when records of these kinds may have been changed, by whichever
// gateway, no later than a second after. On a store that is not shared, it never does.
func (p *Peers) OnChange(fn func(), kinds ...store.Kind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, watching{kinds, fn})
}

// refresh looks for changes. A database that is not there changes nothing; what was
// missed meanwhile is seen when it is there again.
func (p *Peers) refresh(ctx context.Context) {
	now, err := p.w.db().Versions(ctx)
	if err != nil {
		return
	}
	p.mu.Lock()
	was, told := p.seen, p.told
	p.seen = now
	p.mu.Unlock()
	for _, x := range told {
		if slices.ContainsFunc(x.kinds, func(k store.Kind) bool { return now[k] != was[k] }) {
			x.fn()
		}
	}
}

// remote is the database's clock: it is read with each update, and goes on by itself in
// between.
type remote struct {
	mu    sync.Mutex
	shown time.Time
	when  time.Time // with a monotonic reading
}

func (r *remote) read(shown time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shown, r.when = shown, time.Now()
}

func (r *remote) at() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shown.Add(time.Since(r.when))
}
