package ownership

import (
	"context"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Reasons of a Refusal, besides pricing.BodyNotForm.
const (
	JobNotFound    = "job_not_found"
	ObjectNotFound = "object_not_found"
	ListRefused    = "list_refused"
	// OwnerUnknown: the store can't be read. The request must not pass.
	OwnerUnknown = "meter_unavailable"
)

// Refusal is why a request may not name what it names.
type Refusal struct {
	Reason  string
	Field   string // that the reason is about
	Message string // for people: what is wrong and what to do
	Err     error
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Message }

func (r *Refusal) Unwrap() error { return r.Err }

// NoUnknownIDs as the only one of Request.UnknownIDs lets none pass, not even in
// bodies and queries.
const NoUnknownIDs = "none"

// Request is what Check reads of a request.
type Request struct {
	Account     string
	Method      string
	URI         string // as sent: the escaped path with its query
	ContentType string
	Body        []byte // decoded
	// UnknownIDs are the kinds (resource.Kinds, or the operation of a job) of
	// which ids pass that have no owner; "*" are all. Empty: those in bodies and
	// queries pass, those in paths don't.
	UnknownIDs []string
}

// Check refuses a request that names what does not belong to its account. It is
// the only place that decides this, for all methods and paths. The error is a
// *Refusal.
func (o *Owners) Check(ctx context.Context, book *pricing.Book, req *Request) error {
	path, clean := pricing.CleanPath(req.URI)
	if kind, ok := lists(req.Method, path); ok && clean {
		return &Refusal{Reason: ListRefused, Field: "path", Message: "A list of " + plural(kind) + " would show what other accounts have stored. Ask for each by its id."}
	}
	list, err := references(book, req)
	if err != nil {
		return err
	}
	for i := range list {
		if err := o.check(ctx, req, &list[i], clean); err != nil {
			return err
		}
	}
	return nil
}

func (o *Owners) check(ctx context.Context, req *Request, r *reference, clean bool) error {
	owner, err := o.Owner(ctx, r.names)
	if err == nil && owner == "" && clean && r.passesUnknown(req.UnknownIDs) {
		if owner, err = o.Owner(ctx, r.alike); owner == "" {
			owner = req.Account
		}
	}
	if err != nil { // the owner is not known, so no account gets it
		return &Refusal{Reason: OwnerUnknown, Err: err, Message: "The owner of these " + plural(r.kind) + " can't be read right now. Nothing was charged. Try again in a moment."}
	}
	if owner != req.Account || !clean {
		return r.notFound()
	}
	return nil
}

// passesUnknown reports whether an id without an owner passes: by default one in
// a body or a query, such as a vector store that the operator has made for all.
func (r *reference) passesUnknown(kinds []string) bool {
	if len(kinds) == 0 {
		return r.field != "path"
	}
	return slices.Contains(kinds, "*") || slices.Contains(kinds, strings.TrimPrefix(r.kind, "/"))
}

func (r *reference) notFound() *Refusal {
	if r.job && r.field == "path" {
		return &Refusal{Reason: JobNotFound, Message: "This account has no job with that id."}
	}
	return &Refusal{Reason: ObjectNotFound, Field: r.field, Message: "There is nothing of that id among the " + plural(r.kind) + " of this account (" + r.field + ")."}
}

// plural is a kind in words: "vector stores".
func plural(kind string) string {
	return strings.NewReplacer("/", " ", "_", " ").Replace(strings.TrimPrefix(kind, "/"))
}

// lists reports whether a request asks for a list of what an upstream keeps.
func lists(method, path string) (kind string, ok bool) {
	at := resource.InPath(path)
	return at.Kind, at.List && method != "POST" && method != "PUT"
}

// Names reports whether a request names anything that an upstream keeps. Body is
// nil where it has not been read; unread: it would have to be.
func Names(book *pricing.Book, req *Request) (some, unread bool) {
	path, _ := pricing.CleanPath(req.URI)
	_, list := lists(req.Method, path)
	found, err := references(book, req)
	return list || err != nil || len(found) > 0, req.Body == nil && RefersInBody(req.Method, path)
}

// NamesJob reports whether a request names a job, or has a body that can't be
// read in one way and might.
func NamesJob(book *pricing.Book, req *Request) bool {
	list, err := references(book, req)
	return err != nil || slices.ContainsFunc(list, func(r reference) bool { return r.job })
}
