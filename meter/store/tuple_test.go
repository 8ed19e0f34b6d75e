package store

import (
	"slices"
	"strings"
	"testing"
)

func TestTuplesAreReadAsWrittenAndSortByTheirParts(t *testing.T) {
	part := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\x01", "ab", "\xff", Sequence(1), Sequence(256)}
	var tuples [][]string
	for _, a := range part {
		for _, b := range part {
			tuples = append(tuples, []string{a, b})
		}
	}
	slices.SortFunc(tuples, slices.Compare)
	for i, x := range tuples {
		name := Tuple(x...)
		if got, ok := ParseTuple(name); !ok || !slices.Equal(got, x) {
			t.Errorf("%q was read as %q, %v", x, got, ok)
		}
		if i > 0 && name <= Tuple(tuples[i-1]...) {
			t.Errorf("%q sorts before %q", x, tuples[i-1])
		}
		if first := Tuple(x[0]); !strings.HasPrefix(name, first) {
			t.Errorf("%q does not begin with its first part", x)
		}
		if _, ok := ParseTuple(name[:len(name)-1]); ok {
			t.Errorf("%q was read though its end is missing", x)
		}
	}
}
