package lenient

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// dialect is how one parser differs from others.
type dialect struct {
	rule         rule
	brackets     bool // n[] and n[0] are n
	bareLF       bool // lines may end with LF
	lastBoundary bool // of two boundaries the last counts
	extended     bool // name*=utf-8''x is a name, and wins
	transfer     bool // Content-Transfer-Encoding: base64 is undone
	semicolons   bool // separate parameters of a query, too
	folded, nan  bool // of JSON: keys in any case; NaN is a number
}

func (d dialect) put(values map[string]string, name, value string) {
	if d.brackets {
		name, _, _ = strings.Cut(name, "[")
	}
	if _, there := values[name]; !there || d.rule == last {
		values[name] = value
	}
}

// Query reads a query string as the servers do that read forms.
func Query(name, text string) map[string]string {
	switch name {
	case "node":
		return query(text, dialect{rule: last, brackets: true})
	case "python, flask":
		return query(text, dialect{rule: first, semicolons: true})
	}
	return query(text, dialect{rule: last})
}

func query(s string, d dialect) map[string]string {
	values := map[string]string{}
	if d.semicolons {
		s = strings.ReplaceAll(s, ";", "&")
	}
	for pair := range strings.SplitSeq(s, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name = unescape(name); name != "" {
			d.put(values, name, unescape(value))
		}
	}
	return values
}

func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// multipart reads the fields of a form. Preambles and epilogues are skipped,
// headers may be folded or unknown, and the end may be missing.
func multipart(contentType string, body []byte, d dialect) (map[string]string, bool) {
	boundary := ""
	for _, p := range params(contentType) {
		if p[0] == "boundary" && (boundary == "" || d.lastBoundary) {
			boundary = p[1]
		}
	}
	if boundary == "" {
		return nil, false
	}
	text := string(body)
	if d.bareLF {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	}
	values := map[string]string{}
	pieces := strings.Split("\r\n"+text, "\r\n--"+boundary)
	for _, piece := range pieces[1:] {
		if strings.HasPrefix(piece, "--") {
			break
		}
		line, part, ok := strings.Cut(piece, "\r\n")
		if !ok || strings.Trim(line, " \t") != "" { // padding behind a boundary is allowed
			continue
		}
		head, value, ok := strings.Cut("\r\n"+part, "\r\n\r\n")
		if !ok {
			continue
		}
		d.part(values, head, value)
	}
	return values, true
}

func (d dialect) part(values map[string]string, head, value string) {
	head = strings.NewReplacer("\r\n ", " ", "\r\n\t", " ").Replace(head)
	name, file, encoded := "", false, false
	for line := range strings.SplitSeq(head, "\r\n") {
		key, v, _ := strings.Cut(line, ":")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "content-disposition":
			name, file = d.name(v)
		case "content-transfer-encoding":
			encoded = strings.EqualFold(strings.TrimSpace(v), "base64")
		}
	}
	if name == "" || file {
		return
	}
	if encoded && d.transfer {
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value)); err == nil {
			value = string(raw)
		}
	}
	d.put(values, name, value)
}

func (d dialect) name(disposition string) (name string, file bool) {
	star := ""
	for _, p := range params(disposition) {
		switch {
		case p[0] == "name" && (name == "" || d.rule == last):
			name = p[1]
		case p[0] == "name*" && d.extended:
			if _, rest, ok := strings.Cut(p[1], "''"); ok {
				star = unescape(rest)
			}
		case p[0] == "filename", p[0] == "filename*" && d.extended:
			file = true
		}
	}
	if star != "" {
		name = star
	}
	return name, file
}

// params are the parameters behind the first semicolon, with quotes and escapes undone.
func params(s string) (list [][2]string) {
	_, s, _ = strings.Cut(s, ";")
	for s != "" {
		var name string
		name, s, _ = strings.Cut(s, "=")
		name = strings.ToLower(strings.Trim(name, " \t;"))
		value := ""
		if s = strings.TrimLeft(s, " \t"); strings.HasPrefix(s, `"`) {
			i := 1
			for ; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				value += s[i : i+1]
			}
			s = s[min(i+1, len(s)):]
			_, s, _ = strings.Cut(s, ";")
		} else {
			value, s, _ = strings.Cut(s, ";")
			value = strings.TrimSpace(value)
		}
		list = append(list, [2]string{name, value})
	}
	return list
}
