package importer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/farebox-dev/farebox/meter/pricing"
)

// YAML is the section models: of a price file.
func (t *Table) YAML() string {
	if len(t.Entries) == 0 {
		return ""
	}
	var s strings.Builder
	s.WriteString("models:\n")
	for _, e := range t.Entries {
		e.write(&s)
	}
	return s.String()
}

// lineWidth is up to where an entry is written in one line.
const lineWidth = 150

func (e *Entry) write(s *strings.Builder) {
	key := "  " + quoted(e.Name) + ":"
	parts := e.base.parts()
	if e.maxOutput > 0 && e.base.hasTokens() {
		parts = append(parts, "max_output_tokens: "+digits(e.maxOutput))
	}
	if line := key + " {" + strings.Join(parts, ", ") + "}\n"; len(e.rows) == 0 && len(line) <= lineWidth {
		s.WriteString(line)
		return
	}
	s.WriteString(key + "\n")
	for _, p := range parts {
		s.WriteString("    " + p + "\n")
	}
	if len(e.rows) == 0 {
		return
	}
	s.WriteString("    adjust:\n")
	for _, r := range e.rows {
		fmt.Fprintf(s, "      - {when: {%s}, price: {%s}}\n", r.when, strings.Join(r.rates.parts(), ", "))
	}
}

// parts are the rates as the price file has them.
func (r *rates) parts() []string {
	var parts, tokens []string
	for k, d := range r.tokens {
		if d != nil {
			tokens = append(tokens, pricing.Kind(k).String()+": "+d.Shift(6).String()) //nolint:gosec // an index of the array
		}
	}
	if len(tokens) > 0 {
		parts = append(parts, "per_1m_tokens: {"+strings.Join(tokens, ", ")+"}")
	}
	for _, u := range r.units {
		parts = append(parts, "per_"+u.Unit+": "+u.Rate.String())
	}
	return parts
}

// plainKey is what YAML takes for a text without quotes, whatever reads it.
var plainKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]*$`)

func quoted(name string) string {
	switch strings.ToLower(name) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
	default:
		if plainKey.MatchString(name) {
			return name
		}
	}
	return strconv.Quote(name)
}

// digits writes 200_000.
func digits(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "_" + s[i:]
	}
	return s
}
