package pricing

import (
	"strconv"
	"strings"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// Source is where a field is read.
type Source uint8

const (
	FromBody Source = iota
	FromForm
	FromHeader
	FromQuery
	FromPath
	FromKey
	FromMember
	FromResponseBody
	FromResponseHeader
	FromResponseStatus
)

var sourcePrefixes = []struct {
	prefix string
	from   Source
}{
	{"response.body.", FromResponseBody},
	{"response.header.", FromResponseHeader},
	{"body.", FromBody},
	{"form.", FromForm},
	{"header.", FromHeader},
	{"query.", FromQuery},
	{"path.", FromPath},
	{"key.", FromKey},
	{"member.", FromMember},
}

// Field is one place that a price file reads. Fields are numbered through the
// book, separately for requests and answers, so that values live in an array.
type Field struct {
	From    Source
	Name    string // behind the prefix
	Text    string // as written
	Segment int    // of path.<n>
	slot    int
}

// answer reports whether the field belongs to the answer.
func (f *Field) InAnswer() bool { return f.From >= FromResponseBody }

// inBody reports whether the field is in the body of the request.
func (f *Field) inBody() bool { return f.From == FromBody || f.From == FromForm }

// json reports whether the values of the field are JSON values, not text.
func (f *Field) json() bool { return f.From == FromBody || f.From == FromResponseBody }

// ParseField reads "body.images.#", "header.X-Lane" and so on; a nil field
// comes with what is wrong.
func ParseField(text string) (*Field, string) {
	if strings.ContainsAny(text, " \t") || len(text) > 300 {
		return nil, "is not a field"
	}
	if text == "response.status" {
		return &Field{From: FromResponseStatus, Text: text}, ""
	}
	for _, s := range sourcePrefixes {
		name, ok := strings.CutPrefix(text, s.prefix)
		if !ok {
			continue
		}
		if name == "" {
			return nil, "has no name behind the point"
		}
		f := &Field{From: s.from, Name: name, Text: text}
		if s.from == FromPath {
			n, err := strconv.Atoi(name)
			if err != nil || n < 0 || n > 1000 {
				return nil, "needs the number of a path segment, counted from 0"
			}
			f.Segment = n
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

// Fields numbers the fields of a book.
type Fields struct {
	request, answer []*Field
	index           map[string]*Field
}

func NewFields() *Fields { return &Fields{index: map[string]*Field{}} }

// Add is the field of the book that reads the same place.
func (fs *Fields) Add(f *Field) *Field {
	key := f.Text
	if f.From == FromHeader || f.From == FromResponseHeader {
		key = strings.ToLower(key)
	}
	if known, ok := fs.index[key]; ok {
		return known
	}
	if f.InAnswer() {
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
func (fs *Fields) ReadsHeader(name string) bool {
	for _, f := range fs.request {
		if f.From == FromHeader && strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

func (fs *Fields) must(text string) *Field {
	f, problem := ParseField(text)
	if f == nil {
		panic(text + " " + problem) // only called with constants of this package
	}
	return fs.Add(f)
}

// What a field holds. A header, query, form field, path, key or member is a
// string.
type value = jsonscan.Value

const (
	absent      = jsonscan.Absent
	textValue   = jsonscan.String
	numberValue = jsonscan.Number
	boolValue   = jsonscan.Bool
	otherValue  = jsonscan.Other
)
