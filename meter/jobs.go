package meter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/writer"
)

// A job is work of an upstream that goes on after its answer. Its charge stays
// held until an answer says how it has ended: one that a client asked for, or
// the gateway itself. What is needed to price that answer is kept in the store,
// so a restart forgets no job.

// jobRecord is a job as the store keeps it.
type jobRecord struct {
	Account, Charge, Plan, Book string
	Operation, ID               string
	Hint                        string // for dialect.Detect
	Poll                        string // path of its state; "" if only clients know it
	Results                     string `json:",omitempty"` // path of what says what it used
	Since, Lost                 time.Time
	LostRefund                  bool `json:",omitempty"`

	Method, URI, ContentType string
	Header                   map[string][]string `json:",omitempty"`
	Body                     []byte              `json:",omitempty"`
	Member, Key              string              `json:",omitempty"`
	KeyAttributes            map[string]string   `json:",omitempty"`
	MemberAttributes         map[string]string   `json:",omitempty"`
	Origin                   []byte              `json:",omitempty"`

	Tokens [pricing.NumKinds]int64 // estimated
	Bound  int64
	Hold   money.Amount
	Answer []byte `json:",omitempty"` // under the request's idempotency key
}

// openJob is what is in memory of a job.
type openJob struct {
	account ledger.AccountID
	charge  ledger.ChargeID
	names   []string // under which it is found
	poll    string
	results string
	lost    time.Time

	asked time.Time // last
	next  time.Time
	wait  time.Duration
	busy  bool // being asked for by the gateway
	over  bool // its end is being booked
}

// jobs are those that have not ended.
type jobs struct {
	mu     sync.Mutex
	named  map[string]*openJob
	all    map[ledger.ChargeID]*openJob
	first  time.Duration // until a job is first asked for; 0: never
	timer  *time.Timer   // renews their leases
	closed bool
}

func named(operation, id string) string {
	return ownership.Name(resource.Ref{Kind: operation, ID: id})
}

// restoreJobs reads the jobs that an earlier process left open.
func (m *Meter) restoreJobs(ctx context.Context, s store.Store) error {
	m.jobs.named, m.jobs.all = map[string]*openJob{}, map[ledger.ChargeID]*openJob{}
	return s.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Job}, false, func(id store.ID, v []byte) error {
			var rec jobRecord
			if err := json.Unmarshal(v, &rec); err != nil {
				return fmt.Errorf("reading the job of charge %s: %w", id.Name, err)
			}
			m.jobs.add(&rec, m.opt.Now())
			return nil
		})
	})
}

// forgetEnded drops jobs whose charge was settled just before a crash.
func (m *Meter) forgetEnded(ctx context.Context) error {
	for id, j := range m.jobs.all {
		a, err := m.writer.Account(ctx, j.account)
		if errors.Is(err, ledger.ErrNoAccount) || err == nil && a.Holds[id] == nil {
			m.dropJob(j)
			continue
		}
		if err != nil {
			return err
		}
		m.owners.Claim(string(j.account), ownedNames(j.names[0], j.names[1:])) // an earlier version may not have
	}
	m.jobs.mu.Lock()
	defer m.jobs.mu.Unlock()
	m.jobs.timer = time.AfterFunc(RenewEvery, m.renewJobs)
	return nil
}

func (m *Meter) stopJobs() {
	m.jobs.mu.Lock()
	defer m.jobs.mu.Unlock()
	m.jobs.closed = true
	m.jobs.timer.Stop()
}

func (m *Meter) renewJobs() {
	m.jobs.mu.Lock()
	defer m.jobs.mu.Unlock()
	if m.jobs.closed {
		return
	}
	for id := range m.jobs.all {
		m.writer.Renew(id)
	}
	m.jobs.timer.Reset(RenewEvery)
}

func (s *jobs) isOpen(id ledger.ChargeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[id] != nil
}

func (s *jobs) add(rec *jobRecord, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &openJob{
		account: ledger.AccountID(rec.Account), charge: ledger.ChargeID(rec.Charge), names: rec.names(),
		poll: rec.Poll, results: rec.Results, lost: rec.Lost, wait: s.first, next: now.Add(s.first),
	}
	s.all[j.charge] = j
	for _, n := range j.names {
		s.named[n] = j
	}
}

func (s *jobs) remove(j *openJob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, j.charge)
	for _, n := range j.names {
		if s.named[n] == j {
			delete(s.named, n)
		}
	}
}

func (s *jobs) find(names ...string) *openJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		if j := s.named[n]; n != "" && j != nil {
			return j
		}
	}
	return nil
}

// names are the job's own, then the paths that are asked for it.
func (rec *jobRecord) names() []string {
	list := []string{named(rec.Operation, rec.ID)}
	for _, path := range []string{rec.Poll, rec.Results} {
		if path != "" {
			list = append(list, path)
		}
	}
	return list
}

// ownedNames are the names under which the owner of a job is recorded: its own,
// and those of the ids in its paths.
func ownedNames(name string, paths []string) []string {
	owned := []string{name}
	for _, p := range paths {
		for _, s := range resource.InPath(p).IDs {
			owned = append(owned, ownership.Name(s))
		}
	}
	return owned
}

// keep writes the record and who may ask for it.
func (m *Meter) keepJob(rec *jobRecord, then func(error)) {
	raw, err := json.Marshal(rec)
	if err != nil {
		then(err)
		return
	}
	m.writer.GoUpdate(func(tx store.Tx) error {
		names := rec.names()
		if err := m.owners.ClaimIn(tx, rec.Account, ownedNames(names[0], names[1:])); err != nil {
			return err
		}
		return tx.Put(store.ID{Kind: store.Job, Name: rec.Charge}, raw)
	}, then)
}

func (m *Meter) dropJob(j *openJob) {
	m.jobs.remove(j)
	m.forgetJob(j)
}

// forgetJob deletes the record of a job that has ended. If it can't, the next
// start does.
func (m *Meter) forgetJob(j *openJob) {
	m.writer.GoUpdate(func(tx store.Tx) error {
		return tx.Delete(store.ID{Kind: store.Job, Name: string(j.charge)})
	}, func(err error) {
		if err != nil && !errors.Is(err, writer.ErrClosed) {
			m.opt.Problem(fmt.Errorf("forgetting the job of charge %s: %w", j.charge, err))
		}
	})
}

func (m *Meter) readJob(ctx context.Context, charge ledger.ChargeID) (*jobRecord, error) {
	rec := new(jobRecord)
	err := m.writer.View(ctx, func(s store.Snapshot) error {
		raw, err := s.Get(store.ID{Kind: store.Job, Name: string(charge)})
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, rec)
	})
	return rec, err
}

const maxJobBody = 256 << 10

// record is what has to be kept of a request that has started a job.
func (c *Charge) jobRecord(id, poll string) *jobRecord {
	now := c.m.opt.Now()
	rec := &jobRecord{
		Account: c.req.Caller.Account, Charge: c.id, Plan: c.planID, Book: c.book.Digest,
		Operation: c.price.Subject().Operation, ID: id, Hint: hintOf(c.price.Asked.API), Poll: poll, Since: c.began, Lost: now.Add(48 * time.Hour),
		Method: c.req.Method, URI: directory.StripURI(c.req.URI), ContentType: c.req.ContentType, Header: map[string][]string{},
		Member: c.req.Caller.Member, Key: c.req.Caller.Key, KeyAttributes: c.req.Caller.KeyAttributes, MemberAttributes: c.req.Caller.MemberAttributes,
		Origin: c.req.Origin, Tokens: c.est.Tokens, Bound: c.bound, Hold: c.hold.amount,
	}
	if job := c.price.Operation().Job; job != nil {
		rec.Lost, rec.LostRefund = job.MaxAge.After(now, c.book.Policies.Timezone), job.LostRefund
	}
	for name, values := range c.req.Header {
		if questionHeaders[name] || c.book.Fields.ReadsHeader(name) {
			rec.Header[name] = values
		}
	}
	directory.StripKeys(rec.Header, "")
	rec.Body = jsonscan.Truncate(c.req.Body, maxJobBody)
	return rec
}

// hold is what is still held for the job.
func (rec *jobRecord) hold(m *Meter) hold {
	return hold{m: m, id: ledger.ChargeID(rec.Charge), caller: Caller{Account: rec.Account, Member: rec.Member, Key: rec.Key}, amount: rec.Hold}
}

// revive reads again what a job's request was.
func (m *Meter) revive(ctx context.Context, rec *jobRecord) (*revived, error) {
	book := m.Books.InForce()
	if book.Digest != rec.Book {
		old, err := m.bookOf(ctx, rec.Book)
		if err != nil {
			return nil, err
		}
		book = &loaded{Book: old}
	}
	a := &admission{m: m, book: book, began: rec.Since, req: &Request{
		Method: rec.Method, URI: rec.URI, Header: rec.Header, Body: rec.Body, ContentType: rec.ContentType,
		Caller: Caller{Account: rec.Account, Member: rec.Member, Key: rec.Key, KeyAttributes: rec.KeyAttributes, MemberAttributes: rec.MemberAttributes},
	}}
	if err := a.read(); err != nil {
		return nil, err
	}
	if a.price.Operation() == nil {
		return nil, fmt.Errorf("operation %s is not in its price book any more", rec.Operation)
	}
	a.plan, a.bound = a.book.Plan(rec.Plan), rec.Bound
	a.est.Tokens = rec.Tokens
	return &revived{exchange{admission: a, id: rec.Charge, planID: rec.Plan}, rec.hold(m)}, nil
}

// bookOf is a price book that was in force earlier.
func (m *Meter) bookOf(ctx context.Context, digest string) (*pricing.Book, error) {
	var text []byte
	if err := m.writer.View(ctx, func(s store.Snapshot) (err error) {
		text, err = s.Get(store.ID{Kind: store.Book, Name: digest})
		return err
	}); err != nil {
		return nil, fmt.Errorf("price book %s: %w", digest, err)
	}
	book, problems := pricefile.Load("pricing.yaml", text)
	if book == nil {
		return nil, fmt.Errorf("price book %s can't be read any more:\n%s", digest, problems)
	}
	return book, nil
}

// cleanPath is the path under which a job's URLs are compared.
func cleanPath(path string) string {
	if p, err := url.PathUnescape(path); err == nil {
		return p
	}
	return path
}
