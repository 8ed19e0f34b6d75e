//go:build !linux

package badger

import (
	"errors"
	"os"
)

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

func taken(f os.FileInfo) int64 { return f.Size() }

func inUse(string) bool { return false }

func isFull(error) bool { return false }

// diskOf is unknown here; a variable for tests.
var diskOf = func(string) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }
