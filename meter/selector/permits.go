package selector

import (
	"slices"
	"strings"
)

// Permits reports whether a rule lets a request pass: only (nil or empty: any)
// must select each model that it may run, and not must select none of them.
// Upstreams differ in how they read a model's name, so not looks at it as the
// most lenient of them does: in any case, with or without a date, a variant or
// a collection.
func Permits(only, not *Selector, x *Subject) bool {
	for one := range x.each() {
		if !only.Empty() && !only.Selects(&one) || not.Selects(&one) || not.selectsAlias(&one) {
			return false
		}
	}
	return true
}

// Add adds another model that the request may run, with the tags that it has
// then. An empty string in Models and Tags separates one model from the next,
// which keeps the shape that ledgers have stored.
func (x *Subject) Add(models, tags []string) {
	x.Models = append(append(slices.Clip(x.Models), ""), models...)
	x.Tags = append(append(slices.Clip(x.Tags), ""), tags...)
}

// each is the subject once for each of its models.
func (x *Subject) each() func(func(Subject) bool) {
	return func(yield func(Subject) bool) {
		one := *x
		models, tags := x.Models, x.Tags
		for {
			m, t := slices.Index(models, ""), slices.Index(tags, "")
			if m < 0 || t < 0 {
				one.Models, one.Tags = models, tags
				yield(one)
				return
			}
			one.Models, one.Tags = models[:m], tags[:t]
			if !yield(one) {
				return
			}
			models, tags = models[m+1:], tags[t+1:]
		}
	}
}

func (s *Selector) selectsAlias(x *Subject) bool {
	if s == nil || len(s.Models) == 0 {
		return false
	}
	for _, pattern := range s.Models {
		pattern = strings.ToLower(pattern)
		for _, name := range x.Models {
			if slices.ContainsFunc(aliases(name), func(alias string) bool { return Glob(pattern, alias) }) {
				return true
			}
		}
	}
	return false
}

// variants are what OpenRouter takes behind a name: the same model by another
// route, or with more to it (openrouter.ai/docs, model variants).
var variants = []string{":nitro", ":floor", ":online", ":free", ":extended", ":thinking", ":exacto", ":beta"}

// aliases are the names in small letters that an upstream may take for the same model.
func aliases(name string) []string {
	name = strings.ToLower(strings.TrimSpace(name))
	if name == "" {
		return nil
	}
	list := []string{name}
	for i := 0; i < len(list) && i < 16; i++ {
		for _, shorter := range []string{withoutCollection(list[i]), withoutVariant(list[i]), undated(list[i])} {
			if shorter != "" && !slices.Contains(list, shorter) {
				list = append(list, shorter)
			}
		}
	}
	return list
}

func withoutCollection(name string) string {
	for _, c := range []string{"publishers/google/models/", "tunedmodels/", "models/", "~"} {
		if rest, ok := strings.CutPrefix(name, c); ok {
			return rest
		}
	}
	return name
}

func withoutVariant(name string) string {
	for _, v := range variants {
		if rest, ok := strings.CutSuffix(name, v); ok {
			return rest
		}
	}
	return name
}

func undated(name string) string {
	bare, _ := WithoutDate(name)
	return bare
}

// WithoutDate cuts -YYYYMMDD or -YYYY-MM-DD off a model's name, and says whether
// there was one.
func WithoutDate(name string) (string, bool) {
	for _, layout := range []string{"-dddddddd", "-dddd-dd-dd"} {
		cut := len(name) - len(layout)
		if cut > 0 && isLayout(name[cut:], layout) {
			return name[:cut], true
		}
	}
	return name, false
}

func isLayout(s, layout string) bool {
	for i := range len(layout) {
		if digit := s[i] >= '0' && s[i] <= '9'; layout[i] == 'd' && !digit || layout[i] == '-' && s[i] != '-' {
			return false
		}
	}
	return true
}
