package badger

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
)

// witness remembers outside of the log which batch was acknowledged last. If that
// one cannot be read, the log was damaged; without a witness, it would look like a
// write that was cut short. The file is written after the log was synced, and is
// not synced itself: after a power cut it may name an earlier batch, never a later
// one.
type witness struct {
	file *os.File
	buf  [12]byte
}

// openWitness refuses a log that ends before the batch that was acknowledged.
func openWitness(path string, seq uint64) (*witness, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // our own directory
	if err != nil {
		return nil, err
	}
	w := &witness{file: f}
	if n, _ := f.ReadAt(w.buf[:], 0); n == len(w.buf) && binary.LittleEndian.Uint32(w.buf[8:]) == crc32.Checksum(w.buf[:8], castagnoli) {
		if last := binary.LittleEndian.Uint64(w.buf[:]); last > seq {
			w.close()
			return nil, fmt.Errorf("%w: it ends with batch %d, but batch %d was acknowledged; restore a backup", ErrDamaged, seq, last)
		}
	}
	return w, nil
}

// saw notes that a batch is durable. A failure loses nothing but the check.
func (w *witness) saw(seq uint64) {
	binary.LittleEndian.PutUint64(w.buf[:], seq)
	binary.LittleEndian.PutUint32(w.buf[8:], crc32.Checksum(w.buf[:8], castagnoli))
	_, _ = w.file.WriteAt(w.buf[:], 0)
}

func (w *witness) close() {
	if w != nil {
		_ = w.file.Close()
	}
}
