// Package jsonscan reads JSON in place, without building a tree.
//
// It has two kinds of readers. [Members], [Get] and the Skip functions are
// lenient: they do not validate and do not allocate, for documents that are
// valid already or of which any readable part is welcome. [Paths] is strict: one
// pass validates the document, finds values, and reports keys that parsers read
// in different ways. A [Truncator] takes a document in pieces and keeps it with
// its long strings cut, so that a large document needs little memory.
package jsonscan

import (
	"bytes"
	"iter"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Members iterates over the direct members of the object in b. Keys are raw:
// without quotes, with their escapes. Malformed input ends the iteration early;
// anything but an object has no members.
func Members(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		i := SkipSpace(b, 0)
		if i >= len(b) || b[i] != '{' {
			return
		}
		for i++; ; {
			key, value, end := member(b, i)
			if end < 0 || !yield(key, value) {
				return
			}
			i = end
		}
	}
}

// member reads the member at i, or behind the comma at i; end is -1 if there is none.
func member(b []byte, i int) (key, value []byte, end int) {
	i = SkipSpace(b, i)
	if i < len(b) && b[i] == ',' {
		i = SkipSpace(b, i+1)
	}
	if i >= len(b) || b[i] != '"' {
		return nil, nil, -1
	}
	end = SkipString(b, i)
	if end < 0 {
		return nil, nil, -1
	}
	key = b[i+1 : end-1]
	i = SkipSpace(b, end)
	if i >= len(b) || b[i] != ':' {
		return nil, nil, -1
	}
	i = SkipSpace(b, i+1)
	if end = SkipValue(b, i); end < 0 {
		return nil, nil, -1
	}
	return key, b[i:end], end
}

// Get follows a dotted path of member names and returns the raw value, nil if it
// is absent. The names in b must be written without escapes.
func Get(b []byte, path string) []byte {
	for path != "" {
		name, rest, _ := strings.Cut(path, ".")
		i := SkipSpace(b, 0)
		if i >= len(b) || b[i] != '{' {
			return nil
		}
		for i++; ; {
			key, value, end := member(b, i)
			if end < 0 {
				return nil
			}
			if string(key) == name {
				b = value
				break
			}
			i = end
		}
		path = rest
	}
	return b
}

// SkipSpace returns the index of the first byte at or after i that is not white space.
func SkipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// SkipString returns the index after the closing quote of the string that starts at i, or -1.
func SkipString(b []byte, i int) int {
	for i++; i < len(b); {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return -1
		}
		j += i
		k := j
		for k > i && b[k-1] == '\\' {
			k--
		}
		i = j + 1
		if (j-k)&1 == 0 {
			return i
		}
	}
	return -1
}

// SkipValue returns the index after the value that starts at i, or -1 if the value is cut off.
func SkipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return SkipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

func skipNested(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = SkipString(b, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// IsObject reports whether b begins like an object.
func IsObject(b []byte) bool {
	i := SkipSpace(b, 0)
	return i < len(b) && b[i] == '{'
}

// IsNull reports whether a raw value is absent or null.
func IsNull(v []byte) bool { return len(v) == 0 || v[0] == 'n' }

// Content is what is between the quotes of a raw string, with its escapes;
// nil for any other value.
func Content(v []byte) []byte {
	if len(v) < 2 || v[0] != '"' {
		return nil
	}
	return v[1 : len(v)-1]
}

// Unescape is the text of a string's content.
func Unescape(content []byte) string {
	if bytes.IndexByte(content, '\\') < 0 {
		return string(content)
	}
	return string(AppendUnescaped(nil, content))
}

// AppendUnescaped appends the text of a string's content. Half a surrogate pair
// becomes U+FFFD, as in encoding/json.
func AppendUnescaped(to, content []byte) []byte {
	for i := 0; i < len(content); i++ {
		c := content[i]
		if c != '\\' || i+1 >= len(content) {
			to = append(to, c)
			continue
		}
		i++
		switch content[i] {
		case 'b':
			to = append(to, '\b')
		case 'f':
			to = append(to, '\f')
		case 'n':
			to = append(to, '\n')
		case 'r':
			to = append(to, '\r')
		case 't':
			to = append(to, '\t')
		case 'u':
			r, n := escapedRune(content[i+1:])
			to = utf8.AppendRune(to, r)
			i += n
		default:
			to = append(to, content[i])
		}
	}
	return to
}

// escapedRune reads the rune behind \u, with the second half of its surrogate pair.
func escapedRune(b []byte) (r rune, n int) {
	r, _ = hex4(b)
	if utf16.IsSurrogate(r) && len(b) > 5 && b[4] == '\\' && b[5] == 'u' {
		if low, ok := hex4(b[6:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
			return utf16.DecodeRune(r, low), 10
		}
	}
	return r, 4
}
