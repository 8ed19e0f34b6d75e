package directory

import "testing"

func TestRecentIsBounded(t *testing.T) {
	var c recent[int, int]
	for i := range 5 * mostRecent {
		c.add(i, i, 0)
		if _, known, _ := c.get(7); i > 7 && !known {
			t.Fatalf("what is used all the time is forgotten after %d", i)
		}
	}
	if n := len(c.young) + len(c.old); n > 2*mostRecent {
		t.Errorf("it holds %d", n)
	}
	if _, known, _ := c.get(mostRecent); known {
		t.Error("what was not used for long is kept")
	}
}

func TestRecentTakesNothingThatMayBeOutOfDate(t *testing.T) {
	var c recent[string, int]
	_, _, before := c.get("a")
	c.forget("b")
	c.add("a", 1, before)
	if _, known, _ := c.get("a"); known {
		t.Error("what was read before a change is kept")
	}
	_, _, now := c.get("a")
	c.add("a", 2, now)
	if v, known, _ := c.get("a"); !known || v != 2 {
		t.Errorf("%d, %v", v, known)
	}
	c.forget("a")
	if _, known, _ := c.get("a"); known {
		t.Error("what has changed is kept")
	}
}
