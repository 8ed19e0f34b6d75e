package meter

import (
	"fmt"
	"math"
	"time"

	"github.com/farebox-dev/farebox/meter/health"
	"github.com/farebox-dev/farebox/meter/store"
)

// Space is the room on the ledger's disk; not ok: it is not known.
func (m *Gateway) Space() (s store.Space, ok bool) {
	d, ok := m.opt.Store.(store.OnDisk)
	if ok {
		s = d.Space()
	}
	return s, ok && s.Free != math.MaxInt64
}

// ledgerState is whether the ledger can be written.
func (m *Gateway) ledgerState() health.State {
	if err := m.Patience.Trouble(); err != nil {
		return health.State{Status: health.Failed, Text: err.Error(), Do: "make room on the ledger's disk, or repair it; paid requests go on by themselves"}
	}
	if age := m.Patience.CommitAge(); age > time.Second {
		return health.State{Status: health.Warning, Text: fmt.Sprintf("a commit has been running for %s", age.Round(100*time.Millisecond)), Do: "look at the ledger's disk"}
	}
	return health.State{Status: health.OK, Text: "can be written"}
}

// lowSpace is the part of a disk that should be free.
const lowSpace = 10 // per cent

// LowOnSpace reports whether less than a tenth of a disk is free, or less than twice
// what is needed.
func LowOnSpace(s store.Space) bool { return s.Free < s.Total/100*lowSpace || s.Free < 2*s.Needs }

// diskState is how much of the ledger's disk is free.
func (m *Gateway) diskState() health.State {
	s, _ := m.Space()
	const mb = 1 << 20
	text := fmt.Sprintf("%d MB of %d MB are free; below %d MB paid requests are refused", s.Free/mb, s.Total/mb, s.Needs/mb)
	switch {
	case s.Free < s.Needs:
		return health.State{Status: health.Failed, Text: text, Do: "make room on the ledger's disk"}
	case LowOnSpace(s):
		return health.State{Status: health.Warning, Text: text, Do: "make room on the ledger's disk, or take a larger one"}
	}
	return health.State{Status: health.OK, Text: text}
}
