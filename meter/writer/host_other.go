//go:build !linux

package writer

import "time"

// Synchronised implements Host.
func (thisHost) Synchronised() bool { return false }

// Asleep implements Host.
func (thisHost) Asleep() time.Duration { return 0 }
