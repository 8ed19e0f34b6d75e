package job

import (
	"slices"
	"time"
)

const (
	maxWait  = 5 * time.Minute
	minPause = time.Second // between two questions, whoever wants them asked
)

// AskFirst sets how soon a job is asked for first; the pauses then grow to five
// minutes. 0 is never: only clients and webhooks ask.
func (r *Registry) AskFirst(first time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == first {
		return
	}
	r.first = first
	for _, j := range r.all {
		j.wait, j.next = first, r.now().Add(first)
	}
}

// Due are at most n jobs to ask for now, those that wait the longest first, and
// all that are lost: their end was not seen in time. Asked has to follow for each
// that is due.
func (r *Registry) Due(n int) (due, lost []*Job) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.all {
		switch {
		case j.busy || j.over:
		case now.After(j.lost):
			lost = append(lost, j)
		case r.first > 0 && j.poll != "" && !j.next.After(now):
			due = append(due, j)
		}
	}
	slices.SortFunc(due, func(a, b *Job) int { return a.next.Compare(b.next) })
	due = due[:min(n, len(due))]
	for _, j := range due {
		j.busy = true
	}
	return due, lost
}

// Asked notes that a job was asked for just now, by whomever: the next question
// can wait.
func (r *Registry) Asked(j *Job) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	j.busy, j.asked, j.next = false, now, now.Add(j.wait)
	j.wait = min(j.wait*3/2, maxWait)
}

// AskSoon makes a job due, but not more often than once a second.
func (r *Registry) AskSoon(j *Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if soon := j.asked.Add(minPause); soon.Before(j.next) {
		j.next = soon
	}
}

// AwaitResults notes that a job is over and that rec.Results says what it used. It
// is asked for that path at once.
func (r *Registry) AwaitResults(j *Job, rec *Record) {
	if r.setResults(j, rec.Results) {
		r.write(rec, func() {})
	}
}

func (r *Registry) setResults(j *Job, path string) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if j.results == path || path == "" {
		return false
	}
	j.results, j.next, j.wait = path, r.now(), r.first
	j.names = append(j.names, path)
	r.named[path] = j
	return true
}
