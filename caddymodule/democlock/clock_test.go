package democlock

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
)

func TestAClockGoesOnWhereItWas(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clock")
	c, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, text := range []string{"30 days", "2 months"} {
		d, err := calendar.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Advance(d, time.UTC); err != nil {
			t.Fatal(err)
		}
	}
	want := began.Add(30*24*time.Hour).UTC().AddDate(0, 2, 0)
	again, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*Clock{c, again} {
		if off := x.Now().Sub(want).Abs(); off > 4*24*time.Hour { // a short month is clamped
			t.Errorf("the clock shows %s, want %s", x.Now(), want)
		}
	}
	if err := os.WriteFile(file, []byte("tomorrow"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil {
		t.Error("a file with nonsense is a clock")
	}
}
