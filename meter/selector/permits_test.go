package selector

import "testing"

// A rule looks at every model that a request may run, and what it excludes stays out however the name is written.
func TestPermits(t *testing.T) {
	cheap := &Selector{Models: []string{"cheap"}}
	dear := &Selector{Models: []string{"dear"}, Tags: []string{"pro"}}
	x := func(names ...string) *Subject {
		s := &Subject{Operation: "chat", Tags: []string{"op"}, Models: names[:1]}
		for _, n := range names[1:] {
			var tags []string
			if n == "tagged" {
				tags = []string{"pro"}
			}
			s.Add([]string{n, n + "-key"}, tags)
		}
		return s
	}
	for _, c := range []struct {
		only, not *Selector
		x         *Subject
		want      bool
	}{
		{nil, nil, x("dear"), true},
		{cheap, nil, x("cheap"), true},
		{cheap, nil, x("cheap", "dear"), false},
		{cheap, nil, x("dear", "cheap"), false},
		{cheap, nil, x("CHEAP"), false}, // what is allowed is what is written
		{cheap, nil, x("cheap:online"), false},
		{nil, dear, x("cheap"), true},
		{nil, dear, x("cheap", "other", "dear"), false},
		{nil, dear, x("cheap", "tagged"), false},
		{nil, dear, x("dearer"), true},
		{nil, dear, x("DEAR"), false},
		{nil, dear, x(" dear\n"), false},
		{nil, dear, x("dear:nitro"), false},
		{nil, dear, x("dear:free:online"), false},
		{nil, dear, x("dear-2026-01-01"), false},
		{nil, dear, x("models/Dear-20260101:floor"), false},
		{nil, &Selector{Operations: []string{"chat"}}, x("cheap"), false},
	} {
		if got := Permits(c.only, c.not, c.x); got != c.want {
			t.Errorf("%+v, %+v permit %q: %t", c.only, c.not, c.x.Models, got)
		}
	}
}
