package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/concurrency"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// renewEvery is how often the leases of the charges are renewed.
const renewEvery = writer.DefaultLease / 3

// Job is a job that has not ended, in memory.
type Job struct {
	Account ledger.AccountID
	Charge  ledger.ChargeID

	place   concurrency.Place // among what the account has under way, until it is forgotten
	names   []string          // by which it is found
	poll    string
	results string
	lost    time.Time // its end is not waited for any longer

	asked time.Time // last
	next  time.Time
	wait  time.Duration
	known bool // its record is in the store
	busy  bool // the gateway is asking
	over  bool // its end is being booked
}

// Registry is all jobs that have not ended. Its methods are safe for concurrent
// use.
type Registry struct {
	now     func() time.Time
	problem func(error)
	counter *concurrency.Counter
	writer  *writer.Writer
	owners  *ownership.Owners

	mu     sync.Mutex
	named  map[string]*Job
	all    map[ledger.ChargeID]*Job
	first  time.Duration // until a job is first asked for; 0: never
	timer  *time.Timer   // renews the leases
	closed bool
}

// Load reads the jobs that an earlier process left open. Their holds are kept by
// IsOpen from then on; all else needs Open. They count as under way in counter.
// problem gets what fails in the background.
func Load(ctx context.Context, s store.Store, counter *concurrency.Counter, now func() time.Time, problem func(error)) (*Registry, error) {
	r := &Registry{now: now, problem: problem, counter: counter, named: map[string]*Job{}, all: map[ledger.ChargeID]*Job{}}
	all, err := readAll(ctx, s)
	for id, rec := range all {
		r.insert(rec, nil)
		r.setKnown(id)
	}
	return r, err
}

func key(charge ledger.ChargeID) store.ID {
	return store.ID{Kind: store.Job, Name: string(charge)}
}

// Open connects the jobs to the ledger. It drops those whose charge was settled
// just before a crash, and keeps the leases of the others until Close.
func (r *Registry) Open(ctx context.Context, w *writer.Writer, owners *ownership.Owners) error {
	r.writer, r.owners = w, owners
	w.Peers.OnChange(r.reload, store.Job)
	for id, j := range r.all {
		a, err := w.Account(ctx, j.Account)
		if errors.Is(err, ledger.ErrNoAccount) || err == nil && a.Holds[id] == nil {
			r.forget(j)
			r.delete(j)
			continue
		}
		if err != nil {
			return err
		}
		owners.Claim(string(j.Account), OwnerNames(j.names[0], j.names[1:])) // an earlier version may not have
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = time.AfterFunc(renewEvery, r.renew)
	return nil
}

// Close ends the renewal of leases.
func (r *Registry) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.timer != nil {
		r.timer.Stop()
	}
}

func (r *Registry) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	for id := range r.all {
		r.writer.Renew(id)
	}
	r.timer.Reset(renewEvery)
}

// IsOpen reports whether a charge is that of a job.
func (r *Registry) IsOpen(id ledger.ChargeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[id] != nil
}

// Add begins a job, which takes over the place of its request among those under way,
// if it has one. done is called when its record and its owner are durable, or
// have failed; the error is reported as a problem already.
func (r *Registry) Add(rec *Record, place *concurrency.Place, done func()) {
	r.insert(rec, place)
	r.write(rec, done)
}

func (r *Registry) insert(rec *Record, place *concurrency.Place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := &Job{
		Account: ledger.AccountID(rec.Account), Charge: ledger.ChargeID(rec.Charge), names: rec.names(),
		poll: rec.Poll, results: rec.Results, lost: rec.Lost, wait: r.first, next: r.now().Add(r.first),
	}
	if place != nil {
		place.Move(&j.place)
	} else {
		r.counter.Resume(concurrency.Caller{Account: rec.Account, Member: rec.Member, Key: rec.Key}, &j.place)
	}
	r.all[j.Charge] = j
	for _, n := range j.names {
		r.named[n] = j
	}
}

func (r *Registry) write(rec *Record, done func()) {
	ended := func(err error) {
		if err == nil {
			r.setKnown(ledger.ChargeID(rec.Charge))
		}
		r.report(err, "writing", ledger.ChargeID(rec.Charge))
		done()
	}
	raw, err := json.Marshal(rec)
	if err != nil {
		ended(err)
		return
	}
	r.writer.GoUpdate(func(tx store.Tx) error {
		names := rec.names()
		if err := r.owners.ClaimIn(tx, rec.Account, OwnerNames(names[0], names[1:])); err != nil {
			return err
		}
		return tx.Put(key(ledger.ChargeID(rec.Charge)), raw)
	}, ended)
}

func (r *Registry) report(err error, what string, id ledger.ChargeID) {
	if err != nil {
		r.problem(fmt.Errorf("%s the job of charge %s: %w", what, id, err))
	}
}

// Find is the job with one of these names or paths, or nil.
func (r *Registry) Find(names ...string) *Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range names {
		if j := r.named[n]; n != "" && j != nil {
			return j
		}
	}
	return nil
}

// Read is the record of a job. The error is store.ErrNotFound if it has ended.
func (r *Registry) Read(ctx context.Context, id ledger.ChargeID) (*Record, error) {
	rec := new(Record)
	err := r.writer.View(ctx, func(s store.Snapshot) error {
		raw, err := s.Get(key(id))
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, rec)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.all[id]; j != nil { // the record may be behind
		rec.Results = j.results
	}
	return rec, err
}

// BeginEnd reports whether the end of a job is to be booked: once.
func (r *Registry) BeginEnd(j *Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !j.over
	j.over = true
	return first
}

// Remove drops a job whose end is booked. It does not wait, and may be called
// from the writer's goroutine. If the record can't be deleted, the next Open does.
func (r *Registry) Remove(j *Job) {
	r.forget(j)
	go r.delete(j)
}

func (r *Registry) forget(j *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, j.Charge)
	j.place.Leave()
	for _, n := range j.names {
		if r.named[n] == j {
			delete(r.named, n)
		}
	}
}

func (r *Registry) delete(j *Job) {
	r.writer.GoUpdate(func(tx store.Tx) error { return tx.Delete(key(j.Charge)) }, func(err error) {
		if !errors.Is(err, writer.ErrClosed) {
			r.report(err, "deleting", j.Charge)
		}
	})
}
