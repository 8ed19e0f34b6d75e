package meter

import (
	"context"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// JobQuestion is a job that nobody has asked for in a while: whoever can reach
// its upstream should GET Path and give the answer to Reader.
type JobQuestion struct {
	Path   string              // decoded
	Header map[string][]string // all that the question has, see questionHeaders
	Origin []byte              // of the request that started the job
	Reader *JobReader
}

// questionHeaders are what a question about a job takes over from the request
// that has started it: nothing but what says which version of the API, and which
// project of the provider, the job belongs to. The provider's key comes from the
// routes; everything else was about that request alone.
var questionHeaders = map[string]bool{
	"Accept": true, "User-Agent": true,
	"Openai-Organization": true, "Openai-Project": true, "Openai-Beta": true,
	"Anthropic-Version": true, "Anthropic-Beta": true,
	"X-Goog-User-Project": true, "X-Goog-Api-Client": true,
}

func questionHeader(kept map[string][]string) map[string][]string {
	header := map[string][]string{}
	for name, values := range kept {
		if questionHeaders[name] {
			header[name] = values
		}
	}
	return header
}

// AskForJobs says how soon a job is asked for first; the pauses then grow to
// five minutes. 0 is never: only clients and webhooks ask.
func (m *Meter) AskForJobs(first time.Duration) {
	m.jobs.mu.Lock()
	defer m.jobs.mu.Unlock()
	if m.jobs.first == first {
		return
	}
	m.jobs.first = first
	for _, j := range m.jobs.all {
		j.wait, j.next = first, m.opt.Now().Add(first)
	}
}

// DueJobs are at most n jobs to ask for now, those that wait the longest first.
// Each has to be answered or given up by its Reader. Jobs that are too old are
// resolved by the price file instead.
func (m *Meter) DueJobs(ctx context.Context, n int) []JobQuestion {
	now := m.opt.Now()
	var due, lost []*openJob
	m.jobs.mu.Lock()
	for _, j := range m.jobs.all {
		switch {
		case j.busy || j.over:
		case now.After(j.lost):
			lost = append(lost, j)
		case m.jobs.first > 0 && j.poll != "" && !j.next.After(now):
			due = append(due, j)
		}
	}
	slices.SortFunc(due, func(a, b *openJob) int { return a.next.Compare(b.next) })
	due = due[:min(n, len(due))]
	for _, j := range due {
		j.busy = true
	}
	m.jobs.mu.Unlock()
	for _, j := range lost {
		m.loseJob(ctx, j)
	}
	questions := make([]JobQuestion, 0, len(due))
	for _, j := range due {
		rec, err := m.readJob(ctx, j.charge)
		if err != nil { // it has ended meanwhile
			m.jobs.put(j, now)
			continue
		}
		path := rec.Poll
		if results := m.jobs.resultsOf(j); results != "" {
			path = results
		}
		api := dialect.Detect("GET", path, rec.Hint)
		questions = append(questions, JobQuestion{Path: path, Header: questionHeader(rec.Header), Origin: rec.Origin, Reader: &JobReader{m: m, job: j, path: path, api: api}})
	}
	return questions
}

// loseJob ends a job whose end nobody has seen.
func (m *Meter) loseJob(ctx context.Context, j *openJob) {
	rec, err := m.readJob(ctx, j.charge)
	if err != nil {
		return
	}
	h := rec.hold(m)
	if rec.LostRefund {
		m.endJob(j, rec, h.released(event.JobUnseen, 0), nil)
		return
	}
	m.endJob(j, rec, h.captured(event.JobUnseen, 0), nil)
}

// JobReader takes an answer about a job. It belongs to one goroutine.
type JobReader struct {
	m      *Meter
	job    *openJob
	path   string
	api    *dialect.API
	status int
	header map[string][]string
	reader *dialect.Reader
}

// Begin is told status and header of the answer.
func (r *JobReader) Begin(status int, header map[string][]string) {
	r.status, r.header = status, header
	r.reader = r.api.NewReader(status, header, dialect.ReaderOptions{})
}

// Observe takes the next decoded bytes of the answer.
func (r *JobReader) Observe(p []byte) {
	if r.reader != nil {
		r.reader.Write(p)
	}
}

// End is told whether the answer came whole; one that did not says nothing.
func (r *JobReader) End(whole bool) {
	if !whole || r.reader == nil {
		r.m.jobs.put(r.job, r.m.opt.Now())
		return
	}
	r.reader.Close()
	result := r.reader.Result()
	r.m.jobSeen(r.job, r, &result)
}

// Webhook finds the operation whose jobs an upstream reports on this route.
func (m *Meter) Webhook(method, uri string) (*pricing.Operation, bool) {
	return m.Books.InForce().Jobs.Webhook(method, uri)
}

// JobCalled is told of a webhook. Anybody can call one, so nothing that it says
// counts but which job to ask for: that is done at once. It reports whether
// there is such a job.
func (m *Meter) JobCalled(op *pricing.Operation, body []byte) bool {
	j := m.jobs.find(named(op.ID, op.WebhookID(body)))
	if j == nil {
		return false
	}
	m.jobs.mu.Lock()
	defer m.jobs.mu.Unlock()
	if soon := j.asked.Add(minPause); soon.Before(j.next) {
		j.next = soon
	}
	return true
}
