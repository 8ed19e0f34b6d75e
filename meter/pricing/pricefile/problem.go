package pricefile

import (
	"fmt"
	"sort"
	"strings"
)

// Problem is one thing that is wrong with, or odd about, a price file.
type Problem struct {
	File         string // name given to Load
	Line, Column int    // counted from 1; 0 if the problem has no place
	Path         string // "plans.plus.credits[0].every"; may be empty
	Message      string // what is wrong; what to write instead
	Warning      bool   // the file can be used all the same
	Excerpt      string // the line with a caret below, two lines of text; may be empty
}

// Text is the problem in one line: "file:line:column: path: message".
func (p Problem) Text() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// String is Text and, below it, the excerpt.
func (p Problem) String() string {
	if p.Excerpt == "" {
		return p.Text()
	}
	return p.Text() + "\n" + p.Excerpt
}

// Problems are all problems of a file: errors first, then warnings, each in
// the order of the file.
type Problems []Problem

// Errors counts the problems that make the file unusable.
func (ps Problems) Errors() int {
	n := 0
	for i := range ps {
		if !ps[i].Warning {
			n++
		}
	}
	return n
}

// Warnings counts the problems that do not.
func (ps Problems) Warnings() int { return len(ps) - ps.Errors() }

// Summary counts in words: "2 errors, 3 warnings".
func (ps Problems) Summary() string {
	count := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	return count(ps.Errors(), "error") + ", " + count(ps.Warnings(), "warning")
}

// String is all problems, one after the other.
func (ps Problems) String() string {
	var b strings.Builder
	for i := range ps {
		b.WriteString(ps[i].String())
		b.WriteByte('\n')
	}
	return b.String()
}

// Err is an error with the text of all errors, nil if there are none.
func (ps Problems) Err() error {
	if ps.Errors() == 0 {
		return nil
	}
	return problemsError{ps}
}

type problemsError struct{ problems Problems }

func (e problemsError) Error() string { return strings.TrimSuffix(e.problems.String(), "\n") }

func (ps Problems) sort() {
	sort.SliceStable(ps, func(i, j int) bool {
		a, b := &ps[i], &ps[j]
		switch {
		case a.Warning != b.Warning:
			return b.Warning
		case a.Line != b.Line:
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
}

// excerpt shows a line of the file with a caret under the mistake.
func excerpt(lines []string, line, column, width int) string {
	if line < 1 || line > len(lines) {
		return ""
	}
	text := []rune(strings.TrimRight(lines[line-1], "\r"))
	if len(text) > 400 {
		return "" // a generated file; the position says enough
	}
	var pad strings.Builder
	for i := 0; i < column-1; i++ {
		if i < len(text) && text[i] == '\t' {
			pad.WriteByte('\t')
		} else {
			pad.WriteByte(' ')
		}
	}
	if left := len(text) - column + 1; width > left {
		width = left
	}
	mark := "^"
	if width > 1 {
		mark += strings.Repeat("~", width-1)
	}
	return fmt.Sprintf("%5d | %s\n      | %s%s", line, string(text), pad.String(), mark)
}

// suggest is `; did you mean "…"?` for the nearest of the valid words, if one
// is within two typing mistakes; otherwise nothing.
func suggest(word string, valid []string) string {
	best, bestDistance := "", 3
	for _, v := range valid {
		if d := distance(word, v, bestDistance); d < bestDistance && d < len(v) {
			best, bestDistance = v, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the edit distance of a and b; any value ≥ limit means "too far".
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d >= limit || -d >= limit || len(x) > 64 {
		return limit
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		diagonal := row[0]
		row[0] = i + 1
		for j := range y {
			cost := diagonal
			if x[i] != y[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)]
}
