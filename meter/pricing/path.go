package pricing

import (
	"strings"
	"unicode/utf8"

	"github.com/farebox-dev/farebox/meter/selector"
)

// CleanPath is the path of a request URI by which prices are found: without its
// query, decoded once, empty and dot segments resolved, in its original case.
// Whoever sees another path than we do could be reached without paying, so
// encodings that servers read in different ways are not ok.
func CleanPath(uri string) (path string, ok bool) {
	path, _, _ = strings.Cut(uri, "?")
	if strings.Contains(uri, "#") { // no client sends a fragment, and servers end the target there or do not
		return "", false
	}
	if !strings.HasPrefix(path, "/") {
		if i := strings.Index(path, "://"); i > 0 { // absolute form, RFC 9112 3.2.2
			path = path[i+3:]
			if i = strings.IndexByte(path, '/'); i < 0 {
				return "/", true
			}
			path = path[i:]
		} else if path != "" {
			return "", false
		}
	}
	if alreadyClean(path) {
		return path, true
	}
	decoded := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) {
				return "", false
			}
			hi, okHi := hexDigit(path[i+1])
			lo, okLo := hexDigit(path[i+2])
			c = hi<<4 | lo
			if !okHi || !okLo || c == '/' || c == '%' || c == '?' || c == '#' {
				return "", false
			}
			i += 2
		}
		if c == '\\' || c == ';' || c < ' ' || c == 0x7f { // ;x is a parameter of the segment to some servers, and gone
			return "", false
		}
		decoded = append(decoded, c)
	}
	if !utf8.Valid(decoded) {
		return "", false
	}
	return resolve(string(decoded)), true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// alreadyClean is the usual case, without allocation.
func alreadyClean(path string) bool {
	if path == "" || path[0] != '/' || len(path) > 1 && path[len(path)-1] == '/' {
		return path == "/"
	}
	for i := range len(path) {
		switch path[i] {
		case '%', '\\', ';', 0, 0x7f:
			return false
		case '/':
			if i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.') {
				return false
			}
		}
	}
	return true
}

func resolve(path string) string {
	var segments []string
	for s := range strings.SplitSeq(path, "/") {
		switch s {
		case "", ".":
		case "..":
			if len(segments) > 0 {
				segments = segments[:len(segments)-1]
			}
		default:
			segments = append(segments, s)
		}
	}
	return "/" + strings.Join(segments, "/")
}

// pathSegment is segment n of a clean path, counted from 0.
func pathSegment(path string, n int) (string, bool) {
	for i := 0; ; i++ {
		path = path[min(1, len(path)):]
		if path == "" {
			return "", false
		}
		end := strings.IndexByte(path, '/')
		if end < 0 {
			end = len(path)
		}
		if i == n {
			return path[:end], true
		}
		path = path[end:]
	}
}

// Pattern is one entry of match: a method, or "" for all, and a path in small
// letters with "*".
type Pattern struct {
	Method, Path string
	Text         string
	Line, Column int
}

// fits compares with a clean path in small letters.
func (p *Pattern) fits(method, lower string) bool {
	return (p.Method == "" || p.Method == method) && selector.Glob(p.Path, lower)
}

// Covers reports whether p fits everything that q fits. A "*" of q can only be
// taken by one of p, so q's own text stands for all that it matches.
func (p *Pattern) Covers(q *Pattern) bool {
	return (p.Method == "" || p.Method == q.Method) && selector.Glob(p.Path, q.Path)
}

// modelInPath is the model of a Gemini path: …/models/<name>:<verb>.
func modelInPath(path string) (string, bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", false
	}
	colon := strings.LastIndexByte(path[i:], ':')
	parent := strings.LastIndexByte(path[:i], '/')
	if colon < 2 || colon == len(path[i:])-1 || !strings.EqualFold(path[parent+1:i], "models") {
		return "", false
	}
	return path[i+1 : i+colon], true
}
