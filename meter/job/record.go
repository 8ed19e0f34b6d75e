// Package job keeps the jobs that have not ended. A job is work of an upstream
// that goes on after its answer. Its charge stays held until an answer says how it
// has ended: one that a client asked for, or the gateway itself. What is needed to
// price that answer is in the store, so a restart loses no job.
package job

import (
	"net/url"
	"time"

	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Record is a job as the store keeps it: its charge, and the request that started
// it.
type Record struct {
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

// Name is the name of a job of an operation.
func Name(operation, id string) string { return ownership.Name(resource.Ref{Kind: operation, ID: id}) }

// names are what a job is found by: its own name, then its paths.
func (r *Record) names() []string {
	list := []string{Name(r.Operation, r.ID)}
	for _, path := range []string{r.Poll, r.Results} {
		if path != "" {
			list = append(list, path)
		}
	}
	return list
}

// OwnerNames are the names under which the owner of a job is recorded: its own,
// and those of the ids in its paths.
func OwnerNames(name string, paths []string) []string {
	owned := []string{name}
	for _, p := range paths {
		for _, s := range resource.InPath(p).IDs {
			owned = append(owned, ownership.Name(s))
		}
	}
	return owned
}

// CleanPath is the path by which a job is found.
func CleanPath(path string) string {
	if p, err := url.PathUnescape(path); err == nil {
		return p
	}
	return path
}

// questionHeaders are what a question about a job takes over from the request
// that started it: only what says which version of the API, and which project of
// the provider, the job belongs to. The provider's key comes from the routes;
// everything else was about that request alone.
var questionHeaders = map[string]bool{
	"Accept": true, "User-Agent": true,
	"Openai-Organization": true, "Openai-Project": true, "Openai-Beta": true,
	"Anthropic-Version": true, "Anthropic-Beta": true,
	"X-Goog-User-Project": true, "X-Goog-Api-Client": true,
}

// InQuestion reports whether questions about a job have this header of its request.
func InQuestion(name string) bool { return questionHeaders[name] }

// QuestionHeader is the header of a question about the job.
func (r *Record) QuestionHeader() map[string][]string {
	header := map[string][]string{}
	for name, values := range r.Header {
		if InQuestion(name) {
			header[name] = values
		}
	}
	return header
}
