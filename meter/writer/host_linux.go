package writer

import (
	"time"

	"golang.org/x/sys/unix"
)

// timeError is what the kernel answers while its clock is not synchronised.
const timeError = 5

// maxError is the error above which the kernel itself gives up a clock, in
// microseconds; see NTP_PHASE_LIMIT in its source.
const maxError = 16_000_000

// Synchronised implements Host. The kernel clears the mark when somebody sets the
// clock; the daemon that follows time servers sets it again.
func (thisHost) Synchronised() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != timeError && t.Status&unix.STA_UNSYNC == 0 && t.Maxerror < maxError
}

// Asleep implements Host: of the kernel's two monotonic clocks, one stops
// while the machine is suspended.
func (thisHost) Asleep() time.Duration {
	var boot, awake unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - awake.Nano())
}
