package pricefile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// bounded refuses what would send the YAML library, which is recursive and in
// places quadratic, too deep: many open brackets, and lines without end.
func bounded(text string, report func(line, col, width int, path, message string)) bool {
	line, start, open := 1, 0, 0
	for i := range len(text) {
		switch text[i] {
		case '\n':
			line, start = line+1, i+1
		case '[', '{':
			open++
		case ']', '}':
			open = max(open-1, 0)
		}
		if open > maxYAMLBrackets {
			report(line, 1, 1, "", "nested too deeply: too many brackets are open here")
			return false
		}
		if i-start > maxYAMLLine {
			report(line, 1, 1, "", fmt.Sprintf("the line has more than %d characters", maxYAMLLine))
			return false
		}
	}
	return true
}

var missingSpace = regexp.MustCompile(`^(\s*(?:- )?)([a-z_0-9]+):([^\s:/].*)$`)

var bareStar = regexp.MustCompile(`^(\s*)(\*[^\s:{]*):`)

// reportSyntax finds the words for a file that is not YAML. The library's own
// are good except where a space is missing after a colon.
func reportSyntax(text string, err error, report func(line, col, width int, path, message string)) {
	line, col, message := 1, 1, err.Error()
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		message = syntax.Message
		if syntax.Token != nil && syntax.Token.Position != nil {
			line, col = syntax.Token.Position.Line, syntax.Token.Position.Column
		}
	}
	lines := strings.Split(text, "\n")
	for _, l := range []int{line, line - 1, line + 1} {
		if l < 1 || l > len(lines) {
			continue
		}
		if m := missingSpace.FindStringSubmatch(strings.TrimRight(lines[l-1], "\r")); m != nil {
			report(l, len(m[1])+1, len(m[2])+1, "", needsSpace(m[2], m[2]+":"+m[3]))
			return
		}
	}
	if i := strings.IndexByte(message, '\n'); i >= 0 {
		message = message[:i]
	}
	if line <= len(lines) {
		if m := bareStar.FindStringSubmatch(lines[line-1]); m != nil {
			report(line, len(m[1])+1, len(m[2]), "", fmt.Sprintf(`a name that begins with "*" needs quotes; write "%s"`, m[2]))
			return
		}
	}
	report(line, col, 1, "", "not valid YAML: "+message)
}

func needsSpace(key, text string) string {
	if i := strings.Index(text, " #"); i >= 0 {
		text = text[:i]
	}
	return fmt.Sprintf(`"%s" needs a space after "%s:"`, strings.TrimSpace(text), key)
}
