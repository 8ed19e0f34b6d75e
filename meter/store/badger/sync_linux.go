package badger

import (
	"os"
	"syscall"
)

// datasync makes the file's content durable; its size does not change.
func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) } //nolint:gosec // a file descriptor fits
