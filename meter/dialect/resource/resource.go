// Package resource finds the ids of what upstreams keep: responses, batches, files,
// conversations. Upstreams see one caller, the gateway, so only the gateway knows
// whose an id is. Ids are in paths, in members of requests, and in answers; the
// tables of this package say where.
package resource

import (
	"net/url"
	"strings"
	"time"
)

// Ref names one resource.
type Ref struct {
	Kind  string // "/responses", "/files": the name of the collection
	ID    string // within the collection
	Field string // of the request that names it: path, body.file_id, query.call_id
}

// collection is a route whose answers issue ids.
type collection struct {
	kind string
	path []string // segments, in small letters
	deep bool     // not only directly below the version: Google has them below models and projects
	root string   // only below this segment; "": any version
	// words may follow where ids do: they are part of a route's name.
	words []string
	// brief: what is kept here expires within weeks.
	brief  bool
	upload bool // the body of a request is the resource itself, and refers to nothing
	job    bool // asynchronous work
}

var collections = []collection{
	{kind: "/responses", path: []string{"responses"}, words: []string{"input_tokens", "compact"}, brief: true, job: true},
	{kind: "/chat/completions", path: []string{"chat", "completions"}, brief: true},
	{kind: "/chat/deferred", path: []string{"chat", "deferred-completion"}, brief: true, job: true},
	{kind: "/conversations", path: []string{"conversations"}},
	{kind: "/batches", path: []string{"batches"}, job: true},
	{kind: "/batches", path: []string{"batch", "jobs"}, job: true}, // Mistral
	{kind: "/batches", path: []string{"messages", "batches"}, job: true},
	{kind: "/batches", path: []string{"batchpredictionjobs"}, deep: true, job: true}, // Vertex
	{kind: "/files", path: []string{"files"}, upload: true},
	{kind: "/uploads", path: []string{"uploads"}, brief: true, upload: true},
	{kind: "/videos", path: []string{"videos"}, words: []string{"edits", "extensions", "generations", "characters"}, job: true},
	{kind: "/threads", path: []string{"threads"}, words: []string{"runs"}},
	{kind: "/assistants", path: []string{"assistants"}},
	{kind: "/vector_stores", path: []string{"vector_stores"}},
	{kind: "/vector_stores", path: []string{"filesearchstores"}},
	{kind: "/containers", path: []string{"containers"}},
	{kind: "/evals", path: []string{"evals"}},
	{kind: "/skills", path: []string{"skills"}},
	{kind: "/fine_tuning", path: []string{"fine_tuning", "jobs"}, job: true},
	{kind: "/realtime/calls", path: []string{"realtime", "calls"}, brief: true},
	{kind: "/interactions", path: []string{"interactions"}, job: true},
	{kind: "/cachedContents", path: []string{"cachedcontents"}, deep: true},
	{kind: "/operations", path: []string{"operations"}, deep: true, brief: true, job: true},
	{kind: "/predictions", path: []string{"predictions"}, deep: true, brief: true, job: true},
	{kind: "/predictions", path: []string{"trainings"}, deep: true, job: true},
	{kind: "/requests", path: []string{"requests"}, deep: true, root: "fal-ai", brief: true, job: true},
}

// Kinds that have no route of their own.
const (
	kindItems = "/items" // of responses and conversations
	kindAudio = "/audio" // that a chat model has spoken
)

// Kinds are the names of all kinds, without the slash that they begin with.
func Kinds() (list []string) {
	for i := range collections {
		if k := collections[i].kind[1:]; i == 0 || k != list[len(list)-1] {
			list = append(list, k)
		}
	}
	return append(list, kindItems[1:], kindAudio[1:])
}

// Path is what a path says about resources.
type Path struct {
	Kind   string // of the collection that it is in; "" if in none
	IDs    []Ref
	List   bool // the path is the collection's own: creates, or lists
	Exact  bool // the path ends with the id
	Job    bool
	Upload bool // the body of a request is the resource itself, and refers to nothing
}

// InPath finds the ids in a clean path. Every path below an id counts, and so
// does one that differs from a route's in small and capital letters: some
// servers make no difference.
func InPath(path string) Path {
	var found Path
	var room [16]string
	segments := room[:0]
	for s := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		segments = append(segments, s)
	}
	for i := range segments {
		root := strings.ToLower(segments[i])
		if !isVersion(root) && root != "openai" && root != "fal-ai" {
			continue
		}
		for c := range collections {
			if at := &collections[c]; (at.root == "" || at.root == root) && (root != "fal-ai" || at.root != "") {
				at.find(segments[i+1:], &found)
			}
		}
	}
	return found
}

// isVersion tells v1, v1beta and v1alpha.
func isVersion(s string) bool {
	return len(s) >= 2 && s[0] == 'v' && s[1] >= '0' && s[1] <= '9'
}

func (c *collection) find(segments []string, found *Path) {
	for i := range segments {
		if i > 0 && !c.deep {
			return
		}
		if !c.at(segments[i:]) {
			continue
		}
		found.Kind, found.Job, found.Upload = c.kind, found.Job || c.job, found.Upload || c.upload
		rest := segments[i+len(c.path):]
		if len(rest) == 0 {
			found.List = true
			return
		}
		id := withoutVerb(rest[0])
		if c.isWord(id) {
			continue
		}
		found.IDs = append(found.IDs, Ref{Kind: c.kind, ID: id, Field: "path"})
		found.Exact = len(rest) == 1 && id == rest[0]
	}
}

func (c *collection) at(segments []string) bool {
	if len(segments) < len(c.path) {
		return false
	}
	for i, s := range c.path {
		if !strings.EqualFold(segments[i], s) {
			return false
		}
	}
	return true
}

func (c *collection) isWord(s string) bool {
	for _, w := range c.words {
		if strings.EqualFold(w, s) {
			return true
		}
	}
	return false
}

// withoutVerb takes the verb off Google's paths: files/abc:download.
func withoutVerb(segment string) string {
	id, verb, ok := strings.Cut(segment, ":")
	if !ok || id == "" || verb == "" || strings.ContainsFunc(verb, func(c rune) bool { return (c|0x20) < 'a' || (c|0x20) > 'z' }) {
		return segment
	}
	return id
}

// Retention is how long the id of a resource is kept after its last use.
func Retention(kind string) time.Duration {
	const day = 24 * time.Hour
	for i := range collections {
		if collections[i].kind == kind && !collections[i].brief {
			return 400 * day
		}
	}
	return 40 * day
}

// storedName reads the name by which Google's APIs call what they keep, or its
// URL: files/abc, projects/p/locations/l/cachedContents/1, https://…/files/abc.
func named(name string) (Ref, bool) {
	path := name
	if i := strings.Index(name, "://"); i >= 0 {
		_, path, _ = strings.Cut(name[i+3:], "/")
	} else if !strings.Contains(name, "/") {
		return Ref{}, false
	} else {
		path = "v1/" + strings.TrimPrefix(path, "/")
	}
	path, _, _ = strings.Cut(path, "?")
	if p, err := url.PathUnescape(path); err == nil {
		path = p
	}
	ids := InPath(path).IDs
	if len(ids) == 0 {
		return Ref{}, false
	}
	return ids[0], true
}
