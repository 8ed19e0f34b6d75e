package badger

import (
	"encoding/binary"
	"io"
)

// write is one change of a batch; a nil value deletes.
type write struct{ key, value []byte }

func decodeWrites(b []byte) ([]write, error) {
	take := func() (uint64, error) {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return 0, io.ErrUnexpectedEOF
		}
		b = b[size:]
		return n, nil
	}
	count, err := take()
	if err != nil || count > uint64(len(b)) {
		return nil, io.ErrUnexpectedEOF
	}
	writes := make([]write, 0, count)
	for range count {
		n, err := take()
		if err != nil || n > uint64(len(b)) {
			return nil, io.ErrUnexpectedEOF
		}
		w := write{key: b[:n:n]}
		b = b[n:]
		if n, err = take(); err != nil || n > uint64(len(b))+1 {
			return nil, io.ErrUnexpectedEOF
		}
		if n > 0 {
			w.value = b[: n-1 : n-1]
			b = b[n-1:]
		}
		writes = append(writes, w)
	}
	return writes, nil
}
