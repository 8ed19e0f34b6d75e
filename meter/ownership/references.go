package ownership

import (
	"bytes"
	"net/url"
	pathpkg "path"
	"strings"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/form"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/store"
)

// reference is an id in a request under which an upstream keeps something.
type reference struct {
	names []string // under one of which its owner is recorded
	// alike are names that an upstream could take it for: video_1.json may be
	// video_1. They give no right, but what belongs to another is refused.
	alike       []string
	kind, field string
	job         bool
}

// Name is the name of the record of an id. The kind of a job of the price file is
// its operation.
func Name(s resource.Ref) string { return store.Tuple(s.Kind, s.ID) }

// PathNames are the names of the records of all ids in a clean path.
func PathNames(book *pricing.Book, method, path string) (names []string) {
	for _, r := range inPath(book, method, path) {
		names = append(names, r.names...)
	}
	return names
}

// inPath finds the ids in a clean path, by the dialects' routes and by the status
// routes of the price file.
func inPath(book *pricing.Book, method, path string) []reference {
	at := resource.InPath(path)
	var refs []reference
	for _, s := range at.IDs {
		refs = append(refs, reference{names: []string{Name(s)}, alike: alike(s), kind: s.Kind, field: s.Field, job: at.Job})
	}
	if at.Kind != "" && len(at.IDs) == 0 { // the collection itself, or a word in the place of an id
		return nil
	}
	ops, ids := book.Jobs.IDs(method, path)
	if len(ops) == 0 {
		return refs
	}
	if len(refs) == 0 {
		refs = []reference{{kind: ops[0].ID, field: "path"}}
	}
	r := &refs[0] // whatever routes the path can be read as, it names one thing
	r.job = true
	for i, op := range ops {
		s := resource.Ref{Kind: op.ID, ID: ids[i]}
		r.names, r.alike = append(r.names, Name(s)), append(r.alike, alike(s)...)
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
			names = append(names, Name(resource.Ref{Kind: s.Kind, ID: s.ID[:i]}))
		}
	}
	return names[:min(len(names), 8)]
}

// references finds all ids in a request. The error is a *Refusal: its body can't
// be read in one way.
func references(book *pricing.Book, req *Request) ([]reference, error) {
	path, clean := pricing.CleanPath(req.URI)
	if !clean {
		path = anyPath(req.URI)
	}
	list := inPath(book, req.Method, path)
	var more []resource.Ref
	if _, query, ok := strings.Cut(req.URI, "?"); ok {
		more = resource.InQuery(query)
	}
	if len(req.Body) > 0 && RefersInBody(req.Method, path) {
		named, err := bodyReferences(req)
		if err != nil {
			return nil, err
		}
		more = append(more, named...)
	}
	for _, s := range more {
		list = append(list, reference{names: []string{Name(s)}, kind: s.Kind, field: s.Field})
	}
	return list, nil
}

// bodyReferences finds the ids in a body: JSON, whatever its Content-Type, or the
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
		return nil, &Refusal{Reason: pricing.BodyNotForm, Message: "The form can't be read in one way: " + err.Error() + ".", Err: err}
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

// RefersInBody reports whether the body of a request may name what an upstream
// keeps, and so has to be read.
func RefersInBody(method, path string) bool {
	return dialect.Detect(method, path, "").Refers(method, path)
}

// anyPath reads a path that is not clean as leniently as any server may: an odd
// spelling must not reach what belongs to another account.
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
