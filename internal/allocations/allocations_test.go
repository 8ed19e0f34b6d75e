package allocations

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	baseline := map[string]int{"meter: chat": 100, "meter: gone": 3, "writer: settle": 5}
	for _, tt := range []struct {
		found map[string]int
		want  string
	}{
		{map[string]int{"meter: chat": 103, "meter: gone": 0}, ""},
		{map[string]int{"meter: chat": 104, "meter: gone": 3}, "meter: chat allocates 104 times, not 100"},
		{map[string]int{"meter: chat": 100, "meter: gone": 3, "meter: new": 1}, "meter: new has no baseline"},
		{map[string]int{"meter: chat": 100}, "meter: gone has a baseline but is not measured"},
	} {
		got := compare("meter", baseline, tt.found)
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)) {
			t.Errorf("%v: %q, want %q", tt.found, got, tt.want)
		}
	}
}

func TestTheBaselineIsReadAsWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "allocations.txt")
	want := map[string]int{"meter: a chat request": 120, "pricing: a path with a name that is longer than its column": 0}
	if err := write(name, want); err != nil {
		t.Fatal(err)
	}
	if got, err := read(name); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
}
