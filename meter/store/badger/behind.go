package badger

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/farebox-dev/farebox/meter/store"
)

// flushEvery is how far Badger is behind, unless there is much to write.
const flushEvery = 2 * time.Second

// flusher writes to Badger what has gathered in memory, until stop.
func (s *Store) flusher() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop.Done():
			return
		case <-tick.C:
		case <-s.wake:
		}
		if err := s.flush(); err != nil && s.logf != nil {
			s.logf("error: writing the tables: %v; the log has everything, and the next try is in %v", err, flushEvery)
		}
	}
}

// flush writes everything that is in memory now to Badger. A flush that has
// failed is repeated.
func (s *Store) flush() error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	if !s.mayMakeTables() { // the log has everything
		return nil
	}
	frozen, m := s.freeze()
	if frozen == nil {
		return nil
	}
	if err := s.guarded(); err != nil {
		return err
	}
	err := s.writeTables(frozen, m)
	if err == nil && s.log.kept.Load()*size.segment > size.log {
		if err = s.push(m.to); err == nil {
			s.log.kept.Store(0) // until the next segment begins, which drops what was pushed: one push is enough
		}
	}
	if err == nil && s.space.cramped && s.db.Levels()[0].NumTables >= 5 { // else compactors do it
		err = s.db.Flatten(1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = err; err == nil {
		s.renew()
		s.frozen, s.flushed = nil, s.freezing
		s.log.certain.Store(s.marks.certain())
		select {
		case s.merge <- struct{}{}:
		default:
		}
	}
	s.room.Broadcast()
	return err
}

// freeze makes the newest layer the one that is written, and begins another.
func (s *Store) freeze() (*layer, mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen == nil && s.fresh.Len() > 0 {
		s.frozen, s.freezing = s.fresh, s.seq
		s.fresh, s.behind = new(layer), 0
		s.room.Broadcast()
	}
	return s.frozen, mark{from: s.flushed, to: s.freezing}
}

// writeTables writes a layer: first the run of the archive, then the transactions
// of Badger, of a bounded size. Each of these carries a mark, so that the next start
// knows whether one is missing.
func (s *Store) writeTables(frozen *layer, m mark) error {
	if err := s.writeRun(frozen, m); err != nil {
		return err
	}
	part := s.newPart(m)
	it := frozen.Iter()
	for ok := it.First(); ok; ok = it.Next() {
		key, value := it.Key(), it.Value()
		if archived(key) {
			continue
		}
		if value == nil {
			if _, err := s.base.t.Get(bytesOf(key)); errors.Is(err, badger.ErrKeyNotFound) {
				continue // it came and went while it was in memory
			}
		}
		if !part.fits(key, value) {
			if err := part.commit(false); err != nil {
				return err
			}
			part = s.newPart(m)
		}
		if err := part.put(key, value); err != nil {
			return err
		}
	}
	return part.commit(true)
}

// part is one transaction of a flush.
type part struct {
	s     *Store
	t     *badger.Txn
	m     mark
	count int64
}

func (s *Store) newPart(m mark) *part { return &part{s: s, t: s.db.NewTransaction(true), m: m} }

// fits reports whether there is room for one more record. Half of what Badger can
// take in a transaction is enough.
func (p *part) fits(key string, value []byte) bool {
	n := int64(len(key) + len(value))
	return p.count == 0 || p.m.size+n <= p.s.db.MaxBatchSize()/2 && p.count < p.s.db.MaxBatchCount()/2
}

func (p *part) put(key string, value []byte) error {
	p.count++
	p.m.size += int64(len(key) + len(value))
	if value == nil {
		return p.t.Delete(bytesOf(key))
	}
	return p.t.Set(bytesOf(key), value)
}

// commit adds the mark. The last part of a flush also moves the head.
func (p *part) commit(last bool) error {
	p.m.last = last
	m, stale := p.s.marks.next(p.m)
	err := p.t.Set(m.key(), m.encode())
	for _, n := range stale {
		err = errors.Join(err, p.t.Delete(mark{n: n}.key()))
	}
	if last {
		err = errors.Join(err, p.t.Set(headKey, binary.BigEndian.AppendUint64(nil, m.to)), p.t.Set(runsKey, p.s.runNames()))
	}
	if err != nil {
		p.t.Discard()
		return err
	}
	if !p.s.space.ahead.keep(p.s.space.dir) {
		p.t.Discard()
		return store.ErrFull
	}
	if err = p.t.Commit(); err == nil {
		p.s.marks.add(m)
	}
	return err
}

// fillKey is overwritten to fill Badger's memtables.
var fillKey = []byte("!/fill")

// push fills Badger's memtables, so that Badger writes them as synced tables; it has
// no call for that. Until then the log is needed. With few busy accounts that would
// be long, because most of the log goes to the archive and little to Badger.
func (s *Store) push(to uint64) error {
	filler := make([]byte, s.db.MaxBatchSize()/4)
	for done := int64(0); done < keepBytes(); done += int64(len(filler)) {
		p := s.newPart(mark{from: to, to: to})
		if err := errors.Join(p.put(text(fillKey), filler), p.commit(true)); err != nil {
			return err
		}
	}
	return nil
}
