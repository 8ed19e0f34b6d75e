package selector

import "testing"

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true},
		{"a", "A", false},
		{"a*", "a", true},
		{"*", "", true},
		{"*-max", "pen-max", true},
		{"*-max", "pen-max-2", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "acb", false},
		{"a*a", "a", false},
		{"a**b", "ab", true},
		{"", "", true},
		{"", "x", false},
		{"ab*ab", "ab", false},
	} {
		if got := Glob(c.pattern, c.s); got != c.want {
			t.Errorf("Glob(%q, %q) = %t", c.pattern, c.s, got)
		}
	}
}

func TestSelects(t *testing.T) {
	x := &Subject{Operation: "image", Feature: "Image", Tags: []string{"pro"}, Models: []string{"night-owl-2026-10-01", "night-owl"}}
	for _, c := range []struct {
		s    *Selector
		want bool
	}{
		{nil, false},
		{&Selector{}, false},
		{&Selector{Operations: []string{"im*"}}, true},
		{&Selector{Features: []string{"Video"}}, false},
		{&Selector{Tags: []string{"free", "pro"}}, true},
		{&Selector{Models: []string{"night-owl"}}, true},
	} {
		if got := c.s.Selects(x); got != c.want {
			t.Errorf("%+v selects: %t", c.s, got)
		}
	}
	if (&Selector{Operations: []string{"*"}}).Selects(&Subject{}) {
		t.Error("a request without an operation must not fit operations: *")
	}
}
