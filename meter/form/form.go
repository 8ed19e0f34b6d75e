// Package form reads multipart forms so strictly that every parser finds the
// same parts in them. Parsers differ in preambles, line ends, boundaries that
// come twice, extended parameters and headers that they skip; a form that uses
// any of it is refused, so what was read here is what the upstream reads.
// Shape: RFC 7578, as browsers, curl and the common HTTP libraries write it.
package form

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxParts bounds how many parts are read, maxHeader the header of one.
const (
	maxParts  = 1000
	maxHeader = 4 << 10
)

// Part is one part of a form. Value is a piece of the body that was read.
type Part struct {
	Name     string
	FileName string
	File     bool // a file, even if its name is empty
	Type     string
	Value    []byte
}

// Problem says why a form is refused and what to send instead.
type Problem string

func (p Problem) Error() string { return string(p) }

// Reasons for a refusal.
const (
	badType        = Problem(`the Content-Type of a form is multipart/form-data with one boundary of letters, digits and the characters '()+_,-./:=? only`)
	badStart       = Problem("the form must begin with its boundary; send nothing before it")
	badEnd         = Problem("the form must end with its closing boundary; send nothing after it")
	badBoundary    = Problem("the boundary occurs inside a part; choose another boundary")
	badHeader      = Problem("the header of a part can't be read; send Content-Disposition once, Content-Type at most once, and lines that end with CRLF")
	badDisposition = Problem(`a part needs Content-Disposition: form-data; name="…", with name and filename at most once and without backslashes`)
	badTransfer    = Problem("a part has a Content-Transfer-Encoding; send it without")
	badCount       = Problem("the form has too many parts")
)

// Is reports whether a content type says that the body is a multipart form.
func Is(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "multipart/form-data")
}

// Read finds the parts of a form. The error is a Problem.
func Read(contentType string, body []byte) ([]Part, error) {
	boundary, ok := boundaryOf(contentType)
	if !ok {
		return nil, badType
	}
	mark := []byte("--" + boundary)
	if !bytes.HasPrefix(body, mark) {
		return nil, badStart
	}
	var parts []Part
	rest := body[len(mark):]
	for {
		if tail, last := bytes.CutPrefix(rest, []byte("--")); last {
			if len(tail) != 0 && string(tail) != "\r\n" {
				return nil, badEnd
			}
			return parts, nil
		}
		piece, ok := bytes.CutPrefix(rest, []byte("\r\n"))
		if !ok {
			return nil, badBoundary
		}
		end := bytes.Index(piece, mark)
		switch {
		case end < 0:
			return nil, badEnd
		case end < 2 || piece[end-2] != '\r' || piece[end-1] != '\n':
			return nil, badBoundary
		case len(parts) == maxParts:
			return nil, badCount
		}
		part, err := readPart(piece[:end-2])
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		rest = piece[end+len(mark):]
	}
}

// boundaryOf reads the boundary, which must be the only one. A charset is the
// one other parameter that clients send; it changes no byte.
func boundaryOf(contentType string) (string, bool) {
	kind, params, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "multipart/form-data") {
		return "", false
	}
	boundary := ""
	for param := range strings.SplitSeq(params, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(param), "=")
		if quoted, is := strings.CutPrefix(value, `"`); is {
			if value, is = strings.CutSuffix(quoted, `"`); !is {
				return "", false
			}
		}
		switch {
		case !ok || value == "":
			return "", false
		case strings.EqualFold(name, "charset") && strings.EqualFold(value, "utf-8"):
		case strings.EqualFold(name, "boundary") && boundary == "" && len(value) <= 70 && !strings.ContainsFunc(value, notInBoundary):
			boundary = value
		default:
			return "", false
		}
	}
	return boundary, boundary != ""
}

func notInBoundary(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("'()+_,-./:=?", c)
}

func readPart(b []byte) (Part, error) {
	var h partHeader
	for range 10 {
		i := bytes.Index(b[:min(len(b), maxHeader)], []byte("\r\n"))
		if i < 0 {
			return h.Part, badHeader
		}
		line := string(b[:i])
		if b = b[i+2:]; line == "" {
			if h.Value = b; !h.disposed {
				return h.Part, badDisposition
			}
			return h.Part, nil
		}
		if err := h.read(line); err != nil {
			return h.Part, err
		}
	}
	return h.Part, badHeader
}

// partHeader is a part whose header is being read.
type partHeader struct {
	Part
	disposed, typed bool // its disposition and its type were read
}

func (h *partHeader) read(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !token(name) || strings.ContainsFunc(value, control) || !utf8.ValidString(value) {
		return badHeader
	}
	value = strings.TrimSpace(value)
	switch strings.ToLower(name) {
	case "content-disposition":
		if h.disposed || !h.disposition(value) {
			return badDisposition
		}
		h.disposed = true
	case "content-type":
		if h.typed || strings.HasPrefix(strings.ToLower(value), "multipart/") {
			return badHeader
		}
		h.typed, h.Type = true, value
	case "content-transfer-encoding":
		if v := strings.ToLower(value); v != "binary" && v != "8bit" && v != "7bit" {
			return badTransfer
		}
	case "content-length", "content-id", "mime-version": // OkHttp, aiohttp and form builders send them; no parser uses them
	default:
		return badHeader
	}
	return nil
}

func control(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, c) })
}

// disposition reads form-data; name="n"; filename="f". filename* is passed
// over where a plain filename says that the part is a file; .NET sends both.
func (p *Part) disposition(s string) bool {
	kind, rest, more := strings.Cut(s, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "form-data") {
		return false
	}
	named, extended := false, false
	for more {
		var name, value string
		var ok bool
		if name, rest, ok = strings.Cut(strings.TrimLeft(rest, " \t"), "="); !ok {
			return false
		}
		if value, rest, more, ok = parameter(rest); !ok {
			return false
		}
		switch strings.ToLower(name) {
		case "name":
			if named || value == "" {
				return false
			}
			named, p.Name = true, value
		case "filename":
			if p.File {
				return false
			}
			p.File, p.FileName = true, value
		case "filename*":
			if extended {
				return false
			}
			extended = true
		default:
			return false
		}
	}
	return named && (p.File || !extended)
}

// parameter reads a value and whether another parameter follows.
func parameter(s string) (value, rest string, more, ok bool) {
	if quoted, is := strings.CutPrefix(s, `"`); is {
		if value, rest, ok = strings.Cut(quoted, `"`); !ok || strings.Contains(value, `\`) {
			return "", "", false, false
		}
		if rest = strings.TrimLeft(rest, " \t"); rest == "" {
			return value, "", false, true
		}
		rest, ok = strings.CutPrefix(rest, ";")
		return value, rest, true, ok
	}
	value, rest, more = strings.Cut(s, ";")
	value = strings.TrimRight(value, " \t")
	return value, rest, more, value != "" && !strings.ContainsAny(value, " \t\"\\,=")
}
