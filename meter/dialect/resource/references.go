package resource

import (
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// reference says what a member of a request names.
type reference struct {
	kind   string
	object bool // an object whose id counts: {"conversation":{"id":…}}
	text   bool // a text, or a list of them
	query  bool // a parameter of a query, and nothing in a body
	named  bool // by Google's names and URLs; other texts name nothing that is kept
	prefix string
}

// references are the members that name resources, in lower case: decoders of some
// languages ignore case.
var references = map[string]reference{
	"previous_response_id":    {kind: "/responses", text: true},
	"conversation":            {kind: "/conversations", text: true, object: true},
	"file_id":                 {kind: "/files", text: true},
	"file_ids":                {kind: "/files", text: true},
	"input_file_id":           {kind: "/files", text: true},
	"input_files":             {kind: "/files", text: true}, // Mistral's batches
	"training_file":           {kind: "/files", text: true},
	"validation_file":         {kind: "/files", text: true},
	"fileuri":                 {kind: "/files", text: true, named: true},
	"file_uri":                {kind: "/files", text: true, named: true},
	"uri":                     {kind: "/files", text: true, named: true},
	"filename":                {kind: "/files", text: true, named: true}, // Gemini's batches
	"file_name":               {kind: "/files", text: true, named: true},
	"cachedcontent":           {kind: "/cachedContents", text: true},
	"cached_content":          {kind: "/cachedContents", text: true},
	"previous_interaction_id": {kind: "/interactions", text: true},
	"previousinteractionid":   {kind: "/interactions", text: true},
	"operationname":           {kind: "/operations", text: true},
	"thread_id":               {kind: "/threads", text: true},
	"assistant_id":            {kind: "/assistants", text: true},
	"vector_store_id":         {kind: "/vector_stores", text: true},
	"vector_store_ids":        {kind: "/vector_stores", text: true},
	"filesearchstorenames":    {kind: "/vector_stores", text: true},
	"file_search_store_names": {kind: "/vector_stores", text: true},
	"container":               {kind: "/containers", text: true, object: true},
	"container_id":            {kind: "/containers", text: true},
	"skill_id":                {kind: "/skills", text: true, prefix: "skill_"}, // others are the provider's own
	"video":                   {kind: "/videos", object: true},
	"video_id":                {kind: "/videos", text: true},
	"audio":                   {kind: kindAudio, object: true},
	"call_id":                 {kind: "/realtime/calls", query: true}, // in a body it is a tool's
}

// freeForm are members whose objects hold data of clients and models, not parameters.
var freeForm = map[string]bool{
	"metadata": true, "labels": true, "input": true, "args": true, "arguments": true, "variables": true, "response": true,
	"parameters": true, "parametersjsonschema": true, "properties": true, "schema": true, "json_schema": true, "input_schema": true,
	"responseschema": true, "response_schema": true, "responsejsonschema": true,
}

// InBody are the resources that the JSON body of a request names. All members of a
// name count, in any case and at any depth.
func InBody(body []byte) []Ref {
	w := walks.Get().(*refWalk) //nolint:forcetypeassert // the pool holds nothing else
	w.b = body
	w.run()
	found := w.found
	clear(w.stack[:cap(w.stack)]) // the next request's walk has nothing of this one
	if *w = (refWalk{stack: w.stack[:0]}); cap(w.stack) <= 64 {
		walks.Put(w)
	}
	return found
}

var walks = sync.Pool{New: func() any { return new(refWalk) }}

// refWalk reads a document once. It is lenient: it finds what any parser may find.
type refWalk struct {
	b     []byte
	stack []refFrame
	found []Ref
}

// refFrame is an object or a list that is open.
type refFrame struct {
	list    bool
	under   string // the member that holds it; of a list in a list, that one's
	skip    bool   // free form
	key     string // the member whose value comes next
	id      string // of an object
	typed   bool   // it has a type, a role or a content
	itemRef bool
}

func (w *refWalk) run() {
	for i := 0; i < len(w.b); {
		switch c := w.b[i]; c {
		case '"':
			end := jsonscan.SkipString(w.b, i)
			if end < 0 {
				return
			}
			w.text(w.b[i:end], end)
			i = end
			continue
		case '{', '[':
			w.open(c == '[')
		case '}', ']':
			w.close()
		case ',':
			if n := len(w.stack); n > 0 && !w.stack[n-1].list {
				w.stack[n-1].key = ""
			}
		}
		i++
	}
	for len(w.stack) > 0 {
		w.close()
	}
}

func (w *refWalk) open(list bool) {
	f := refFrame{list: list}
	if n := len(w.stack); n > 0 {
		top := &w.stack[n-1]
		f.under, f.skip = top.key, top.skip
		if top.list {
			f.under = top.under
		} else if !list && freeForm[top.key] {
			f.skip = true
		}
		if top.key == "content" {
			top.typed = true
		}
	}
	w.stack = append(w.stack, f)
}

// text takes a string: the name of a member if a colon follows, else a value.
func (w *refWalk) text(quoted []byte, end int) {
	n := len(w.stack)
	if n == 0 || w.stack[n-1].skip {
		return
	}
	top := &w.stack[n-1]
	if colon := jsonscan.SkipSpace(w.b, end); !top.list && top.key == "" && colon < len(w.b) && w.b[colon] == ':' {
		top.key = knownName(quoted)
		return
	}
	key := top.key
	if top.list {
		key = top.under
	}
	switch key {
	case "id":
		top.id = unquote(quoted, maxID)
	case "type":
		top.typed, top.itemRef = true, unquote(quoted, 64) == "item_reference"
	case "role", "content":
		top.typed = true
	}
	if r, ok := references[key]; ok && r.text {
		w.add(key, r, unquote(quoted, maxID))
	}
}

// knownNames are all names that make a difference, by themselves: most names of a
// request are found here, or are none of these, without a copy.
var knownNames = func() map[string]string {
	names := map[string]string{"id": "id", "type": "type", "role": "role", "content": "content", "items": "items"}
	for name := range references {
		names[name] = name
	}
	for name := range freeForm {
		names[name] = name
	}
	return names
}()

// knownName is the name of a member in lower case, or "\x00" if it makes no
// difference.
func knownName(quoted []byte) string {
	written := jsonscan.Content(quoted)
	name, ok := knownNames[string(written)]
	if !ok && slices.ContainsFunc(written, func(c byte) bool { return c == '\\' || c >= 'A' && c <= 'Z' || c >= 0x80 }) {
		name, ok = knownNames[strings.ToLower(unquote(quoted, 64))]
	}
	if !ok {
		return "\x00"
	}
	return name
}

// maxID is the length of what may be an id, in bytes as written.
const maxID = 2000

// unquote is a JSON string's text; "" if it is longer than most.
func unquote(quoted []byte, most int) string {
	if len(quoted)-2 > 6*most {
		return ""
	}
	return jsonscan.Unescape(jsonscan.Content(quoted))
}

func (w *refWalk) add(field string, r reference, value string) {
	if value == "" || !strings.HasPrefix(value, r.prefix) {
		return
	}
	if s, ok := named(value); ok && (s.Kind == r.kind || r.named) {
		w.found = append(w.found, Ref{Kind: s.Kind, ID: s.ID, Field: "body." + field})
	} else if !r.named {
		w.found = append(w.found, Ref{Kind: r.kind, ID: value, Field: "body." + field})
	}
}

// close looks at an object as a whole.
func (w *refWalk) close() {
	n := len(w.stack)
	if n == 0 {
		return
	}
	f := w.stack[n-1]
	w.stack = w.stack[:n-1]
	if f.list || f.skip || f.id == "" {
		return
	}
	if r, ok := references[f.under]; ok && r.object {
		w.add(f.under, r, f.id)
	}
	if in := n >= 2 && w.stack[n-2].list && (f.under == "input" || f.under == "items"); f.itemRef || in && !f.typed {
		w.found = append(w.found, Ref{Kind: kindItems, ID: f.id, Field: "body." + f.under})
	}
}

// InQuery are what a raw query, or a form that is written like one, names.
func InQuery(query string) (found []Ref) {
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue
		}
		if v, err := url.QueryUnescape(value); err == nil {
			value = v
		}
		found = append(found, InField("query.", name, value)...)
	}
	return found
}

// InField are what a field of a query or a form names: file_id, file_ids[], video[id].
func InField(where, name, value string) []Ref {
	name, inner, _ := strings.Cut(strings.ToLower(name), "[")
	r, ok := references[name]
	if !ok || !r.text && !r.query && (!r.object || inner != "id]") {
		return nil
	}
	var w refWalk
	w.add(name, r, value)
	for i := range w.found {
		w.found[i].Field = where + name
	}
	return w.found
}
