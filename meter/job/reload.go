package job

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/store"
)

// reload takes over what other gateways have begun and ended. Each gateway has all jobs
// in memory: a client may ask any of them, and any may be the next on duty.
func (r *Registry) reload() {
	there, err := readAll(context.Background(), r.writer)
	if err != nil {
		r.problem(fmt.Errorf("reading the jobs that another gateway has changed: %w", err))
		return
	}
	for id, rec := range there {
		if j := r.byID(id); j != nil {
			r.setResults(j, rec.Results)
			continue
		}
		r.insert(rec, nil)
		r.setKnown(id)
	}
	r.mu.Lock()
	var ended []*Job
	for id, j := range r.all {
		if there[id] == nil && j.known && !j.over {
			ended = append(ended, j)
		}
	}
	r.mu.Unlock()
	for _, j := range ended {
		r.forget(j)
	}
}

func (r *Registry) byID(id ledger.ChargeID) *Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[id]
}

// setKnown notes that the record of a job is in the store.
func (r *Registry) setKnown(id ledger.ChargeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if j := r.all[id]; j != nil {
		j.known = true
	}
}

// viewer is a store, or a writer's view of one.
type viewer interface {
	View(ctx context.Context, fn func(store.Snapshot) error) error
}

// readAll reads the records of all jobs.
func readAll(ctx context.Context, from viewer) (map[ledger.ChargeID]*Record, error) {
	all := map[ledger.ChargeID]*Record{}
	err := from.View(ctx, func(s store.Snapshot) error {
		return s.Scan(store.ID{Kind: store.Job}, false, func(id store.ID, v []byte) error {
			rec := new(Record)
			if err := json.Unmarshal(v, rec); err != nil {
				return fmt.Errorf("reading the job of charge %s: %w", id.Name, err)
			}
			all[ledger.ChargeID(rec.Charge)] = rec
			return nil
		})
	})
	return all, err
}
