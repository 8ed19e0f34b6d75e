package pricing

import (
	"net/url"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
	"github.com/farebox-dev/farebox/meter/selector"
)

// JobID is the id of the job that the answer says it has started, "" if the
// operation starts none or the answer does not say.
func (op *Operation) JobID(a *Answer) string {
	if op == nil || op.Job == nil {
		return ""
	}
	v := &op.book.answerValues(a, nil)[op.Job.ID.slot]
	if v.Kind != textValue && v.Kind != numberValue {
		return ""
	}
	return v.Text
}

// Jobs are the operations of a book whose results come later, and the requests
// that ask about them.
type Jobs struct {
	list []*Operation
	book *Book
}

// For is the operation whose job a status request asks about, and the id of the
// job.
func (j *Jobs) For(method, uri string) (op *Operation, id string, ok bool) {
	path, clean := CleanPath(uri)
	if !clean {
		return nil, "", false
	}
	return j.find(method, path, strings.ToLower(path))
}

func (j *Jobs) find(method, path, lower string) (*Operation, string, bool) {
	for _, op := range j.list {
		if !op.Job.status.fits(method, lower) {
			continue
		}
		if id, ok := op.Job.idIn(path); ok {
			return op, id, true
		}
	}
	return nil, "", false
}

// IDs are the ids of jobs in a clean path that is a status route of the file,
// lies below one, or is one with another method: op and id, for each route that
// the path can be read as. A path that an operation names as a whole, without *,
// is no such route, whatever it looks like.
func (j *Jobs) IDs(method, path string) (ops []*Operation, ids []string) {
	if len(j.list) == 0 {
		return nil, nil
	}
	lower := strings.ToLower(path)
	for _, op := range j.book.Operations {
		for i := range op.Match {
			if p := &op.Match[i]; !strings.Contains(p.Path, "*") && p.fits(method, lower) {
				return nil, nil
			}
		}
	}
	for _, op := range j.list {
		for _, id := range op.Job.idsIn(path, lower) {
			ops, ids = append(ops, op), append(ids, id)
		}
	}
	return ops, ids
}

// idsIn are the segments of a path at the position of {id}.
func (j *Job) idsIn(path, lower string) (ids []string) {
	before, after, _ := strings.Cut(j.Status.Path, "{id}")
	slash := strings.LastIndexByte(before, '/')
	dir, head := before[:slash], before[slash+1:]
	tail, _, _ := strings.Cut(after, "/")
	for from := 0; from < len(path); {
		end := from + 1
		for end < len(path) && path[end] != '/' {
			end++
		}
		s := path[from+1 : end]
		if selector.Glob(dir, lower[:from]) && len(s) > len(head)+len(tail) && strings.EqualFold(s[:len(head)], head) {
			if strings.EqualFold(s[len(s)-len(tail):], tail) {
				s = s[:len(s)-len(tail)]
			}
			ids = append(ids, s[len(head):])
		}
		from = end
	}
	return ids
}

// idIn is the part of a clean path at the position of {id}.
func (j *Job) idIn(path string) (string, bool) {
	before, after, _ := strings.Cut(j.Status.Path, "{id}")
	head, tail := before[strings.LastIndexByte(before, '/')+1:], after
	if i := strings.IndexByte(after, '/'); i >= 0 {
		tail = after[:i]
	}
	n := strings.Count(before, "/") - 1
	if strings.Contains(before, "*") { // then it is counted from the end
		n = strings.Count(path, "/") - 1 - strings.Count(after, "/")
	}
	s, ok := pathSegment(path, n)
	if !ok || len(s) <= len(head)+len(tail) || !strings.EqualFold(s[:len(head)], head) || !strings.EqualFold(s[len(s)-len(tail):], tail) {
		return "", false
	}
	return s[len(head) : len(s)-len(tail)], true
}

// StatusPath is the path of the job's state; "" if the file's pattern leaves
// more than the id open.
func (j *Job) StatusPath(id string) string {
	written := j.Status.Text[strings.IndexByte(j.Status.Text, '/'):] // in its own letters
	if strings.Contains(written, "*") || j.Status.Method != "GET" && j.Status.Method != "" {
		return ""
	}
	return strings.Replace(written, "{id}", url.PathEscape(id), 1)
}

// JobFailed reports whether a status answer says that the job has failed.
func (op *Operation) JobFailed(a *Answer) bool { return op.jobIs(a, op.Job.FailedWhen) }

// JobDone reports whether a status answer says that the job has ended well.
// known is false if the file leaves that to the usual words.
func (op *Operation) JobDone(a *Answer) (done, known bool) {
	return op.jobIs(a, op.Job.DoneWhen), op.Job.DoneWhen != nil
}

func (op *Operation) jobIs(a *Answer, when *Conditions) bool {
	if when == nil || a == nil {
		return false
	}
	values := op.book.answerValues(a, nil)
	c := circumstances{answer: values, model: op.book.answerModel(a, values), tier: op.book.answerTier(a, values)}
	verdict, _ := when.hold(&c)
	return verdict == holds
}

// Webhook finds the operation whose jobs an upstream reports to this route.
func (j *Jobs) Webhook(method, uri string) (*Operation, bool) {
	path, clean := CleanPath(uri)
	if !clean {
		return nil, false
	}
	for _, op := range j.list {
		if op.Job.Webhook != nil && op.Job.Webhook.fits(method, strings.ToLower(path)) {
			return op, true
		}
	}
	return nil, false
}

// WebhookID is the id of the job that a webhook's body is about, "" if it names
// none.
func (op *Operation) WebhookID(body []byte) string {
	tree := jsonscan.NewPaths()
	tree.Add(strings.Split(op.Job.WebhookID.Name, "."), 0)
	values := make([]value, 1)
	if !tree.Find(body, values) || values[0].Ambiguous || values[0].Kind != textValue && values[0].Kind != numberValue {
		return ""
	}
	return values[0].Text
}
