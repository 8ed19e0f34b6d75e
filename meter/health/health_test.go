package health

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAReportIsAsBadAsItsWorstPart(t *testing.T) {
	for _, x := range []struct {
		worst     Status
		ok, ready bool
	}{{OK, true, true}, {Warning, false, true}, {Failed, false, false}} {
		var p Parts
		p.Set("disk", func() State { return State{Status: x.worst, Text: "text", Do: "something"} })
		p.Set("clock", func() State { return State{Status: OK} })
		r := p.Report()
		if r.OK != x.ok || r.Ready != x.ready {
			t.Errorf("with a part that is %s: ok %v, ready %v", x.worst, r.OK, r.Ready)
		}
		if len(r.Parts) != 2 || r.Parts[0].Name != "disk" || (r.Parts[0].Do != "") == (x.worst == OK) {
			t.Errorf("with a part that is %s: %+v", x.worst, r.Parts)
		}
	}
}

func TestAPartSaysSinceWhenItHasItsStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Parts
		began, status := time.Now(), OK
		p.Set("disk", func() State { return State{Status: status} })
		since := func() time.Duration { return p.Report().Parts[0].Since.Sub(began) }
		time.Sleep(time.Minute)
		if got := since(); got != 0 {
			t.Errorf("a part that was always well is well since %s after the start", got)
		}
		status = Failed
		if got := since(); got != time.Minute {
			t.Errorf("a part that failed after a minute says %s", got)
		}
		time.Sleep(time.Hour)
		p.Set("disk", func() State { return State{Status: status} }) // as a reload does
		if got := since(); got != time.Minute {
			t.Errorf("the check was replaced, and since moved to %s", got)
		}
	})
}
