package alarm

import (
	"time"

	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/event"
)

// lookEvery is how often the ledger and its disk are looked at.
const lookEvery = 250 * time.Millisecond

// watch tells operators when the ledger cannot be written, so that paid requests are
// refused, and when it can be again. One commit that fails is no such time: two looks
// in a row have to agree.
func (a *Alarm) watch(m *meter.Gateway) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var stopped, was, low bool
	for {
		select {
		case <-a.quit:
			return
		case <-tick.C:
		}
		low = a.space(m, low)
		err := m.Patience.Trouble()
		now := err != nil
		if now == was && now != stopped {
			stopped = now
			a.turned(m, err)
		}
		was = now
	}
}

func (a *Alarm) turned(m *meter.Gateway, err error) {
	if err == nil {
		a.log.Info("ledger.resumed: paid requests run again")
		a.send(m, event.LedgerResumed, map[string]any{})
		return
	}
	a.log.Error("ledger.stopped: paid requests are refused", zap.Error(err))
	a.send(m, event.LedgerStopped, map[string]any{"problem": err.Error()})
}

// space warns once when the disk gets low.
func (a *Alarm) space(m *meter.Gateway, was bool) (low bool) {
	s, ok := m.Space()
	low = ok && meter.LowOnSpace(s)
	if low && !was {
		a.log.Warn("the ledger's disk is nearly full", zap.Int64("free_bytes", s.Free), zap.Int64("total_bytes", s.Total), zap.Int64("needed_bytes", s.Needs))
	}
	return low
}
