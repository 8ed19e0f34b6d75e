//go:build !linux

package handover

// Steer does nothing: the system decides which of two listeners gets a connection.
func Steer() bool { return false }

// Unsteer does nothing.
func Unsteer() {}
