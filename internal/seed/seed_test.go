package seed

import "testing"

func TestOf(t *testing.T) {
	t.Setenv("FAREBOX_RANDOM", "")
	t.Setenv("FAREBOX_SEED", "")
	if a, b := Of(t), Of(t); a != b {
		t.Errorf("two runs of a test have seeds %d and %d", a, b)
	}
	t.Setenv("FAREBOX_RANDOM", "1")
	if a, b := Of(t), Of(t); a == b {
		t.Errorf("two random seeds are %d", a)
	}
	t.Setenv("FAREBOX_SEED", "7")
	if got := Of(t); got != 7 {
		t.Errorf("FAREBOX_SEED=7 gives %d", got)
	}
}
