package meter

import (
	"bytes"
	"context"
	"net/url"
	pathpkg "path"
	"slices"
	"strings"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/form"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// ref is something that a request names: an id that an upstream keeps
// something under.
type ref struct {
	names []string // under which it is kept, one of them
	// alike are names that an upstream could take it for: video_1.json may be
	// video_1. They give no right, but what belongs to another is refused.
	alike       []string
	kind, field string
	job         bool
}

func storedName(s resource.Ref) string { return s.Kind + "\x00" + s.ID }

// pathRefs are what a clean path names: by the dialects' routes, and by the
// status routes of the price file.
func pathRefs(book *pricing.Book, method, path string) []ref {
	at := resource.InPath(path)
	var refs []ref
	for _, s := range at.IDs {
		refs = append(refs, ref{names: []string{storedName(s)}, alike: alike(s), kind: s.Kind, field: s.Field, job: at.Job})
	}
	if at.Kind != "" && len(at.IDs) == 0 { // the collection itself, or a word where ids stand
		return nil
	}
	ops, ids := book.JobIDs(method, path)
	if len(ops) == 0 {
		return refs
	}
	if len(refs) == 0 {
		refs = []ref{{kind: ops[0].ID, field: "path"}}
	}
	r := &refs[0] // whatever routes the path can be read as, it names one thing
	r.job = true
	for i, op := range ops {
		s := resource.Ref{Kind: op.ID, ID: ids[i]}
		r.names, r.alike = append(r.names, storedName(s)), append(r.alike, alike(s)...)
	}
	return refs
}

// inID reports whether ids have such characters.
func inID(c rune) bool {
	return c == '_' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// alike are the beginnings of an id that end where something else than an id begins.
func alike(s resource.Ref) (names []string) {
	for i, c := range s.ID {
		if i > 0 && !inID(c) {
			names = append(names, storedName(resource.Ref{Kind: s.Kind, ID: s.ID[:i]}))
		}
	}
	return names[:min(len(names), 8)]
}

// refs are all that a request names. The error is a *Denial: its body can't be
// read in one way.
func refs(book *pricing.Book, req *Request) ([]ref, error) {
	path, clean := pricing.CleanPath(req.URI)
	if !clean {
		path = anyPath(req.URI)
	}
	list := pathRefs(book, req.Method, path)
	var more []resource.Ref
	if _, query, ok := strings.Cut(req.URI, "?"); ok {
		more = resource.InQuery(query)
	}
	if len(req.Body) > 0 && refersInBody(req.Method, path) {
		named, err := bodyReferences(req)
		if err != nil {
			return nil, err
		}
		more = append(more, named...)
	}
	for _, s := range more {
		list = append(list, ref{names: []string{storedName(s)}, kind: s.Kind, field: s.Field})
	}
	return list, nil
}

// bodyReferences are what a body names: JSON, whatever it is called, or the
// fields of a form.
func bodyReferences(req *Request) (list []resource.Ref, err error) {
	switch form.KindOf(req.ContentType, req.Body) {
	case form.JSON:
		return resource.InBody(req.Body), nil
	case form.Multipart:
	case form.URLEncoded, form.Other:
		for _, s := range resource.InQuery(string(req.Body)) {
			s.Field = "form." + strings.TrimPrefix(s.Field, "query.")
			list = append(list, s)
		}
		return list, nil
	}
	parts, err := form.Read(req.ContentType, req.Body)
	if err != nil {
		return nil, &Denial{Reason: pricing.BodyNotForm, Message: "The form can't be read in one way: " + err.Error() + ".", Err: err}
	}
	for _, p := range parts {
		if p.File {
			continue
		}
		list = append(list, resource.InField("form.", p.Name, string(p.Value))...)
		if bytes.HasPrefix(p.Value, []byte("{")) || bytes.HasPrefix(p.Value, []byte("[")) {
			list = append(list, resource.InBody(p.Value)...)
		}
	}
	return list, nil
}

// refersInBody says whether the body may name what an upstream keeps, and so has to be read.
func refersInBody(method, path string) bool {
	return dialect.Recognise(method, path, "").Refers(method, path)
}

// anyPath reads a path as generously as any server may that it is not clean for:
// what belongs to another account is not to be reached by an odd spelling.
func anyPath(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	for range 2 {
		if p, err := url.PathUnescape(path); err == nil {
			path = p
		}
	}
	segments := strings.Split(strings.ReplaceAll(path, "\\", "/"), "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return pathpkg.Clean("/" + strings.Join(segments, "/"))
}

// mayUse refuses a request that names what does not belong to its account. It is
// the only place that decides this, for all methods and paths.
func (m *Meter) mayUse(ctx context.Context, book *pricing.Book, req *Request) error {
	path, clean := pricing.CleanPath(req.URI)
	if at := resource.InPath(path); clean && at.List && req.Method != "POST" && req.Method != "PUT" {
		return &Denial{Reason: ListRefused, Field: "path", Message: "A list of " + words(at.Kind) + " would show what other accounts have stored. Ask for each by its id."}
	}
	list, err := refs(book, req)
	if err != nil {
		return err
	}
	for _, r := range list {
		owner, err := m.ownerOf(ctx, r.names)
		if err == nil && owner == "" && clean && passes(req.UnknownIDs, &r) {
			if owner, err = m.ownerOf(ctx, r.alike); owner == "" {
				owner = req.Caller.Account
			}
		}
		if err != nil { // the owner is not known, so no account gets it
			return &Denial{Reason: Unavailable, Strict: true, Err: err, Message: "Whose " + words(r.kind) + " these are can't be read right now. Nothing was charged. Try again in a moment."}
		}
		if owner != req.Caller.Account || !clean {
			return notFound(&r)
		}
	}
	return nil
}

// Names reports whether a request names anything that an upstream keeps. body is
// nil where it has not been read; unread: it would have to be.
func Names(book *pricing.Book, method, uri, contentType string, body []byte) (some, unread bool) {
	path, _ := pricing.CleanPath(uri)
	list := resource.InPath(path).List && method != "POST" && method != "PUT"
	found, err := refs(book, &Request{Method: method, URI: uri, ContentType: contentType, Body: body})
	return list || err != nil || len(found) > 0, body == nil && refersInBody(method, path)
}

// NoUnknownIDs as the only one of Request.UnknownIDs lets none pass, not even in
// bodies and queries.
const NoUnknownIDs = "none"

// passes reports whether an id passes that no account is known to have got: by
// default one that a body or a query refers to, as to a vector store that the
// operator has made for all, and none that a path names.
func passes(kinds []string, r *ref) bool {
	if len(kinds) == 0 {
		return r.field != "path"
	}
	return slices.Contains(kinds, "*") || slices.Contains(kinds, strings.TrimPrefix(r.kind, "/"))
}

// words are a kind as people call it.
func words(kind string) string {
	return strings.NewReplacer("/", " ", "_", " ").Replace(strings.TrimPrefix(kind, "/"))
}

func notFound(r *ref) *Denial {
	if r.job && r.field == "path" {
		return &Denial{Reason: JobNotFound, Message: "There is no such job on this account."}
	}
	return &Denial{Reason: ObjectNotFound, Field: r.field, Message: "There is nothing of that id among the " + words(r.kind) + " of this account (" + r.field + ")."}
}
