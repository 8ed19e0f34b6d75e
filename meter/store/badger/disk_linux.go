package badger

import (
	"errors"
	"os"
	"syscall"
)

// keepSize of fallocate leaves the size of the file as it is.
const keepSize = 1

// allocate takes space on the disk for the first bytes of a file. Its size and
// content stay as they are.
func allocate(f *os.File, bytes int64) error {
	return syscall.Fallocate(int(f.Fd()), keepSize, 0, bytes) //nolint:gosec // a file descriptor fits
}

// taken is how much space a file has on the disk.
func taken(f os.FileInfo) int64 {
	if s, ok := f.Sys().(*syscall.Stat_t); ok {
		return s.Blocks * 512
	}
	return f.Size()
}

// inUse reports whether a process has the directory's lock.
func inUse(dir string) bool {
	d, err := os.Open(dir) //nolint:gosec // our own directory
	if err != nil {
		return false
	}
	defer d.Close()                                                                                    //nolint:errcheck // only looked at
	return errors.Is(syscall.Flock(int(d.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK) //nolint:gosec // a file descriptor fits
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// diskOf is the free space on the disk of a directory, and its size; a variable
// for tests.
var diskOf = func(dir string) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	return int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize, nil //nolint:gosec // far below
}
