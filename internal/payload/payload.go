// Package payload keeps request bodies. The memory of large ones is used again: to clear it and to get it from the system would take longer
// than to read a body into it.
package payload

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
)

// Small is the size up to which a body is left to the garbage collector.
const Small = 1 << 20

// firstRead is how much room a body gets before its bytes are there.
const firstRead = 64 << 10

// Body is a body that was read, in memory that may be shared. The zero Body is none.
type Body struct {
	Bytes  []byte
	memory *memory // nil: the garbage collector's
}

// Growth hears of what happens while a body comes.
type Growth interface {
	Slow()        // it does not come at once
	Large() error // it has more than Small bytes; an error ends the reading
}

// Read reads a body of at most limit bytes; size is what it declares, or less than 0. A declared length costs the client nothing, so
// memory grows as bytes come: a large body gets it when Small bytes are there, then in one piece.
func Read(r io.Reader, size, limit int64, on Growth) (Body, error) {
	declared := size
	if size < 0 {
		size = bytes.MinRead
	}
	b := Body{Bytes: make([]byte, 0, min(size, firstRead)+1)} // one more byte finds the end
	for first := true; ; first = false {
		n, err := r.Read(b.Bytes[len(b.Bytes):cap(b.Bytes)])
		b.Bytes = b.Bytes[:len(b.Bytes)+n]
		switch {
		case int64(len(b.Bytes)) > limit:
			err = &http.MaxBytesError{Limit: limit}
		case errors.Is(err, io.EOF):
			return b, nil
		case err == nil && len(b.Bytes) == cap(b.Bytes):
			err = b.grow(size, on)
		}
		if err != nil {
			b.Release()
			return Body{}, err
		}
		if first && int64(len(b.Bytes)) != declared {
			on.Slow()
		}
	}
}

// grow makes room for more bytes: for all that are declared if many are there already.
func (b *Body) grow(size int64, on Growth) error {
	have := int64(len(b.Bytes))
	if have <= Small {
		room := min(max(size+1, 2*have), 4*have, Small+1)
		b.Bytes = slices.Grow(b.Bytes, int(room-have))[:have:room]
		return nil
	}
	if b.memory == nil {
		if err := on.Large(); err != nil {
			return err
		}
	}
	old := *b
	b.memory = take(max(size+1, 2*have))
	b.Bytes = append(b.memory.room[:0], old.Bytes...)
	old.Release()
	return nil
}

// With is a body of other bytes, which may be those of b.
func (b Body) With(other []byte) Body { return Body{other, b.memory} }

// Release gives the memory back. Nothing may look at Bytes from now on; readers that are open still may.
func (b Body) Release() {
	if b.memory != nil {
		b.memory.release()
	}
}
