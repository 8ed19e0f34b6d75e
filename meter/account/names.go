package account

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Names finds accounts by a text in their id, name or plan, among millions. It has
// these, and no more, in memory, some 50 bytes for each account, and looks through
// all of them: an index of the store that finds any part of a word would be larger
// than the accounts, and would cost every new account a dozen writes. It is made in
// the background after the start, in pages, as all accounts have to be read for it.
//
// Names only says where to look: what it finds is read from the store and compared.
type Names struct {
	mu    sync.Mutex
	dirty map[string]bool // accounts that may have changed since they were read; nil: the list is not made

	searches atomic.Int32 // that wait or run

	use    sync.Mutex     // guards what follows
	blocks []block        // in order of id
	plans  map[string]int // accounts on each plan
	read   time.Time      // when all of it was read last
}

// block is some accounts in a row. An account is id, name and plan, each with a NUL
// behind it, then a line end. Texts are in lower case; an id or a plan that is not
// has both forms: the id comes first in its own, the plan comes last in its own.
type block struct {
	first string // id
	text  []byte
}

const (
	blockSize = 16 << 10
	mostDirty = 20_000
)

// Applied marks an account whose name or plan a command may have changed. It runs
// in the commit, so what it has changed is read later.
func (n *Names) Applied(a *ledger.Account, r *ledger.Result) {
	for i := range r.Entries {
		e := &r.Entries[i]
		if e.Kind == ledger.KindOpened || e.Kind == ledger.KindAttribute || e.Sub != nil {
			n.mu.Lock()
			if n.dirty != nil {
				n.dirty[string(a.ID)] = true
			}
			if len(n.dirty) > mostDirty { // it has not been used for long: the next search makes it anew
				n.dirty = nil
			}
			n.mu.Unlock()
			return
		}
	}
}

// refresh makes the list, or reads again what has changed since. It needs n.use.
func (n *Names) refresh(ctx context.Context, w *writer.Writer) error {
	n.mu.Lock()
	changed := n.dirty
	n.dirty = map[string]bool{} // from now on changes are marked
	n.mu.Unlock()
	if w.Peers.Shared() && time.Since(n.read) > sharedNames { // other gateways open accounts, too
		changed = nil
	}
	if changed != nil && len(changed) == 0 {
		return nil
	}
	err := w.Update(ctx, func(store.Tx) error { return nil }) // behind the commits that marked them
	switch {
	case err != nil:
	case changed == nil:
		n.read = time.Now()
		err = n.readAll(ctx, w)
	default:
		err = w.View(ctx, func(s store.Snapshot) error { return n.readAgain(s, changed) })
	}
	if err != nil { // the next search makes it anew
		n.mu.Lock()
		n.dirty = nil
		n.mu.Unlock()
	}
	return err
}

// sharedNames is how old the list may be if other gateways change accounts, too.
const sharedNames = 5 * time.Second

// readPage is how many accounts are read before a rest.
const readPage = 2_000

// readAll makes the list, a page at a time. It leaves the processors to requests, and
// hurries when a search waits. What changes behind it is marked, and read again.
func (n *Names) readAll(ctx context.Context, w *writer.Writer) error {
	n.blocks, n.plans = nil, map[string]int{}
	for from, more := "", true; more; {
		began, read := time.Now(), 0
		more = false
		err := w.View(ctx, func(s store.Snapshot) error {
			return s.Scan(store.ID{Kind: store.Account, Account: from}, false, func(id store.ID, raw []byte) error {
				if read++; read > readPage {
					from, more = id.Account, true
					return store.ErrStop
				}
				return n.add(id.Account, raw)
			})
		})
		if err != nil {
			return err
		}
		if more && n.searches.Load() == 0 {
			select {
			case <-time.After(4 * time.Since(began)):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// add adds the account behind all others.
func (n *Names) add(id string, raw []byte) error {
	name, plan, err := ledger.DecodeNames(raw)
	if err != nil {
		return err
	}
	last := len(n.blocks) - 1
	if last < 0 || len(n.blocks[last].text) > blockSize {
		n.blocks = append(n.blocks, block{first: id, text: make([]byte, 0, blockSize+512)})
		last++
	}
	n.blocks[last].text = appendLine(n.blocks[last].text, id, name, plan)
	n.plans[plan]++
	return nil
}

// KeepNames makes the list that searches look through, and brings it up to date now
// and then, until ctx ends: a search shall find little to do.
func (s *Accounts) KeepNames(ctx context.Context) {
	for tick := time.NewTicker(time.Minute); ; {
		s.names.use.Lock()
		_ = s.names.refresh(ctx, s.writer) // the next search tries it again, and reports an error
		s.names.use.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// begin begins a search; call what it returns when it ends.
func (n *Names) begin() (end func()) {
	n.searches.Add(1)
	n.use.Lock()
	return func() {
		n.use.Unlock()
		n.searches.Add(-1)
	}
}

func (n *Names) readAgain(s store.Snapshot, ids map[string]bool) error {
	for id := range ids {
		raw, err := s.Get(store.ID{Kind: store.Account, Account: id})
		if errors.Is(err, store.ErrNotFound) { // it was not opened after all
			continue
		}
		if err != nil {
			return err
		}
		name, plan, err := ledger.DecodeNames(raw)
		if err != nil {
			return err
		}
		n.set(id, name, plan)
	}
	return nil
}

func appendLine(b []byte, id, name, plan string) []byte {
	clean := func(s string) string { return strings.NewReplacer("\x00", " ", "\n", " ").Replace(s) }
	b = append(append(b, id...), 0)
	if lower := strings.ToLower(id); lower != id {
		b = append(append(b, lower...), 0)
	}
	b = append(append(b, clean(strings.ToLower(name))...), 0)
	if lower := strings.ToLower(plan); lower != plan {
		b = append(append(b, lower...), 0)
	}
	return append(append(b, clean(plan)...), 0, '\n')
}

// idOf and planOf read a line.
func idOf(line []byte) string { return string(line[:bytes.IndexByte(line, 0)]) }

func planOf(line []byte) string {
	line = bytes.TrimSuffix(line, []byte("\x00\n"))
	return string(line[bytes.LastIndexByte(line, 0)+1:])
}

// at is the place of the block that an id belongs to.
func (n *Names) at(id string) int {
	return max(0, sort.Search(len(n.blocks), func(i int) bool { return n.blocks[i].first > id })-1)
}

// set replaces the line of an account, or adds one.
func (n *Names) set(id, name, plan string) {
	if len(n.blocks) == 0 {
		n.blocks = []block{{first: id}}
	}
	i := n.at(id)
	if line := appendLine([]byte{'\n'}, id, name, plan); bytes.HasPrefix(n.blocks[i].text, line[1:]) || bytes.Contains(n.blocks[i].text, line) {
		return // a renewal, mostly
	}
	var text []byte
	rest, placed := n.blocks[i].text, false
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n') + 1
		line := rest[:end]
		rest = rest[end:]
		have := idOf(line)
		if have >= id && !placed {
			text, placed = appendLine(text, id, name, plan), true
		}
		if have == id {
			n.plans[planOf(line)]--
			continue
		}
		text = append(text, line...)
	}
	if !placed {
		text = appendLine(text, id, name, plan)
	}
	n.plans[plan]++
	n.blocks[i] = block{idOf(text), text}
	if len(text) > 2*blockSize {
		half := len(text)/2 + bytes.IndexByte(text[len(text)/2:], '\n') + 1
		if half < len(text) {
			n.blocks[i].text = slices.Clip(text[:half])
			n.blocks = slices.Insert(n.blocks, i+1, block{idOf(text[half:]), slices.Clone(text[half:])})
		}
	}
}

// search is the ids of at most most accounts from an id on whose line has a text.
func (n *Names) search(from, wanted string, most int) (ids []string) {
	for i := n.at(from); i < len(n.blocks); i++ {
		for rest := n.blocks[i].text; len(rest) > 0; {
			hit := bytes.Index(rest, []byte(wanted))
			if hit < 0 {
				break
			}
			begin := bytes.LastIndexByte(rest[:hit], '\n') + 1
			end := hit + bytes.IndexByte(rest[hit:], '\n') + 1
			if id := idOf(rest[begin:end]); id >= from {
				if ids = append(ids, id); len(ids) == most {
					return ids
				}
			}
			rest = rest[end:]
		}
	}
	return ids
}

// most is how many accounts are looked up at once.
const most = 100

// Search calls fn for the accounts whose id, name or plan has a text, whatever its
// case, in order of id, beginning at from, until it returns false. What is due by
// the clock may not be booked in them yet.
func (s *Accounts) Search(ctx context.Context, from, text string, fn func(*ledger.Account) bool) error {
	wanted := strings.ToLower(text)
	if wanted == "" {
		return s.Each(ctx, from, fn)
	}
	defer s.names.begin()()
	if err := s.names.refresh(ctx, s.writer); err != nil {
		return err
	}
	for {
		ids := s.names.search(from, wanted, most)
		for _, id := range ids {
			a, err := s.stored(ctx, id)
			if err != nil {
				return err
			}
			if hasText(a, wanted) && !fn(a) {
				return nil
			}
		}
		if len(ids) < most {
			return nil
		}
		from = ids[most-1] + "\x00" // behind it
	}
}

// hasText reports whether a text in small letters is in the id, the name or the plan.
func hasText(a *ledger.Account, wanted string) bool {
	return strings.Contains(strings.ToLower(string(a.ID)+"\n"+a.Name+"\n"+a.Sub.Plan), wanted)
}

// stored is an account as it is in the store, without its open holds.
func (s *Accounts) stored(ctx context.Context, id string) (a *ledger.Account, err error) {
	err = s.writer.View(ctx, func(v store.Snapshot) error {
		raw, err := v.Get(store.ID{Kind: store.Account, Account: id})
		if err == nil {
			a, err = ledger.DecodeAccount(raw)
		}
		return err
	})
	return a, err
}

// OnPlans is how many accounts are on each plan.
func (s *Accounts) OnPlans(ctx context.Context) (map[string]int, error) {
	defer s.names.begin()()
	if err := s.names.refresh(ctx, s.writer); err != nil {
		return nil, err
	}
	return maps.Clone(s.names.plans), nil
}
