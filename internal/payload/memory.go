package payload

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// step is the unit in which memory is kept for other bodies.
const step = 4 << 20

// memory is room for a large body. It is used again when its last user has released it; one that is not released is left to the
// garbage collector.
type memory struct {
	room  []byte
	users atomic.Int32
}

// free has memory by its size in steps.
var free sync.Map // of int to *sync.Pool

func poolOf(steps int) *sync.Pool {
	p, ok := free.Load(steps)
	if !ok {
		p, _ = free.LoadOrStore(steps, new(sync.Pool))
	}
	return p.(*sync.Pool) //nolint:forcetypeassert // nothing else is in it
}

// take is memory for size bytes or more.
func take(size int64) *memory {
	steps := int((size + step - 1) / step)
	m, ok := poolOf(steps).Get().(*memory)
	if !ok {
		m = &memory{room: make([]byte, steps*step)}
	}
	m.users.Store(1)
	return m
}

func (m *memory) release() {
	if m.users.Add(-1) == 0 {
		poolOf(len(m.room) / step).Put(m)
	}
}

// Open makes r read the body, as the body of another request.
func (b Body) Open(r *Reader) {
	if b.memory != nil {
		b.memory.users.Add(1)
	}
	r.memory = b.memory
	r.bytes.Reset(b.Bytes)
}

// Reader reads a body. Its memory stays until the reader is closed, too: a transport may go on reading when its request has ended, and
// may close a body while it reads.
type Reader struct {
	bytes  bytes.Reader
	memory *memory // nil: the garbage collector's

	mu      sync.Mutex
	reading bool
	closed  bool
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if !r.begin() {
		return 0, http.ErrBodyReadAfterClose
	}
	defer r.end()
	return r.bytes.Read(p)
}

// WriteTo implements io.WriterTo.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if !r.begin() {
		return 0, http.ErrBodyReadAfterClose
	}
	defer r.end()
	return r.bytes.WriteTo(w)
}

func (r *Reader) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = !r.closed
	return r.reading
}

func (r *Reader) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = false
	if r.closed && r.memory != nil {
		r.memory.release()
	}
}

// Close implements io.Closer.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && !r.reading && r.memory != nil {
		r.memory.release()
	}
	r.closed = true
	return nil
}
