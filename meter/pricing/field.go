package pricing

import (
	"strconv"
	"strings"
)

// source is where a field is read.
type source uint8

const (
	fromBody source = iota
	fromForm
	fromHeader
	fromQuery
	fromPath
	fromKey
	fromMember
	fromResponseBody
	fromResponseHeader
	fromResponseStatus
)

var sourcePrefixes = []struct {
	prefix string
	from   source
}{
	{"response.body.", fromResponseBody},
	{"response.header.", fromResponseHeader},
	{"body.", fromBody},
	{"form.", fromForm},
	{"header.", fromHeader},
	{"query.", fromQuery},
	{"path.", fromPath},
	{"key.", fromKey},
	{"member.", fromMember},
}

// field is one place that a price file reads. Fields are numbered through the
// book, separately for requests and answers, so that values live in an array.
type field struct {
	from    source
	name    string // behind the prefix
	text    string // as written
	segment int    // of path.<n>
	slot    int
}

// answer reports whether the field belongs to the answer.
func (f *field) answer() bool { return f.from >= fromResponseBody }

// inBody reports whether the field is in the body of the request.
func (f *field) inBody() bool { return f.from == fromBody || f.from == fromForm }

// json reports whether the values of the field are JSON values, not text.
func (f *field) json() bool { return f.from == fromBody || f.from == fromResponseBody }

// parseField reads "body.images.#", "header.X-Lane" and so on; a nil field
// comes with what is wrong.
func parseField(text string) (*field, string) {
	if strings.ContainsAny(text, " \t") || len(text) > 300 {
		return nil, "is not a field"
	}
	if text == "response.status" {
		return &field{from: fromResponseStatus, text: text}, ""
	}
	for _, s := range sourcePrefixes {
		name, ok := strings.CutPrefix(text, s.prefix)
		if !ok {
			continue
		}
		if name == "" {
			return nil, "has no name behind the point"
		}
		f := &field{from: s.from, name: name, text: text}
		if s.from == fromPath {
			n, err := strconv.Atoi(name)
			if err != nil || n < 0 || n > 1000 {
				return nil, "needs the number of a path segment, counted from 0"
			}
			f.segment = n
		}
		if f.json() && !validPath(name) {
			return nil, `is not a JSON path of names, array indexes and a final "#"`
		}
		return f, ""
	}
	return nil, "is not a field"
}

func validPath(path string) bool {
	parts := strings.Split(path, ".")
	for i, p := range parts {
		if p == "" || p == "#" && i < len(parts)-1 || strings.ContainsAny(p, "*?|@()[]{}") {
			return false
		}
		if strings.Contains(p, "#") && p != "#" {
			return false
		}
	}
	return parts[0] != "#" || len(parts) == 1
}

// fields numbers the fields of a book.
type fields struct {
	request, answer []*field
	index           map[string]*field
}

func newFields() *fields { return &fields{index: map[string]*field{}} }

// add is the field of the book that reads the same place.
func (fs *fields) add(f *field) *field {
	key := f.text
	if f.from == fromHeader || f.from == fromResponseHeader {
		key = strings.ToLower(key)
	}
	if known, ok := fs.index[key]; ok {
		return known
	}
	if f.answer() {
		f.slot = len(fs.answer)
		fs.answer = append(fs.answer, f)
	} else {
		f.slot = len(fs.request)
		fs.request = append(fs.request, f)
	}
	fs.index[key] = f
	return f
}

// ReadsHeader reports whether a price, a condition or a label of the file reads
// this header of requests.
func (b *Book) ReadsHeader(name string) bool {
	for _, f := range b.fields.request {
		if f.from == fromHeader && strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}

func (fs *fields) must(text string) *field {
	f, problem := parseField(text)
	if f == nil {
		panic(text + " " + problem) // only called with constants of this package
	}
	return fs.add(f)
}

// valueKind says what was found in a field.
type valueKind uint8

const (
	absent      valueKind = iota // also null
	textValue                    // JSON string, or any text of header, query, form, path, key, member
	numberValue                  // JSON number
	boolValue                    // JSON true or false
	otherValue                   // JSON array or object, or # of what is no array
)

// value is what a field holds. Ambiguous ones occur twice or in another case.
type value struct {
	kind      valueKind
	ambiguous bool
	text      string
}
