// Package selector says which requests a plan or a grant means: by operation,
// feature, tag or model, with "*" for any run of characters.
package selector

import "strings"

// Subject is what a selector looks at: one request.
type Subject struct {
	Operation, Feature string
	Tags               []string // of the operation and of the model's entry
	Models             []string // the name asked for and the key of the entry that prices it
}

// Selector selects a request if any entry of any list fits. The zero value,
// and nil, select nothing.
type Selector struct {
	Operations, Features, Tags, Models []string
}

// Empty reports whether s names nothing.
func (s *Selector) Empty() bool {
	return s == nil || len(s.Operations)+len(s.Features)+len(s.Tags)+len(s.Models) == 0
}

// Selects reports whether any entry fits x.
func (s *Selector) Selects(x *Subject) bool {
	if s.Empty() || x == nil {
		return false
	}
	return x.Operation != "" && anyFits(s.Operations, x.Operation) ||
		x.Feature != "" && anyFits(s.Features, x.Feature) ||
		anyOf(s.Tags, x.Tags) || anyOf(s.Models, x.Models)
}

func anyOf(patterns, names []string) bool {
	for _, n := range names {
		if n != "" && anyFits(patterns, n) {
			return true
		}
	}
	return false
}

func anyFits(patterns []string, name string) bool {
	for _, p := range patterns {
		if Glob(p, name) {
			return true
		}
	}
	return false
}

// Glob reports whether s fits pattern, in which "*" is any run of characters,
// also empty, and everything else is itself. Case counts.
func Glob(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], next
	}
}
