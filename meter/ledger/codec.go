package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/selector"
)

// ErrFormat is a stored record that this version cannot read.
var ErrFormat = errors.New("the stored record is damaged or of another format")

// encoder appends fields in a fixed order: varints, length-prefixed strings, times
// as nanoseconds. The same value always gives the same bytes; the journal's hashes
// depend on it.
type encoder []byte

func (e *encoder) uint(n uint64)         { *e = binary.AppendUvarint(*e, n) }
func (e *encoder) int(n int64)           { *e = binary.AppendVarint(*e, n) }
func (e *encoder) amount(a money.Amount) { e.int(int64(a)) }
func (e *encoder) hash(h [32]byte)       { *e = append(*e, h[:]...) }

func (e *encoder) bool(b bool) {
	n := byte(0)
	if b {
		n = 1
	}
	*e = append(*e, n)
}

func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	*e = append(*e, s...)
}

func (e *encoder) bytes(b []byte) {
	e.uint(uint64(len(b)))
	*e = append(*e, b...)
}

func (e *encoder) decimal(d money.Decimal) {
	var room [48]byte
	e.bytes(d.Append(room[:0]))
}

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	e.int(t.UnixNano())
}

func (e *encoder) strings(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) selector(s *selector.Selector) {
	e.bool(!s.Empty())
	if !s.Empty() {
		e.strings(s.Operations)
		e.strings(s.Features)
		e.strings(s.Tags)
		e.strings(s.Models)
	}
}

// sortedKeys makes maps encode the same way every time.
func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	if len(m) == 0 {
		return nil
	}
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compare)
	return keys
}

// decoder reads what encoder wrote. After the first problem every read gives the
// zero value, and err is the problem.
type decoder struct {
	b    []byte
	text string // a copy of b from the first string on
	err  error

	v1 bool // the record has version 1, see format1.go
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = ErrFormat
	}
	d.b = nil
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

// list reads a length that cannot be more than the bytes that are left.
func (d *decoder) list() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n) //nolint:gosec // bounded by the line above
}

func (d *decoder) decimal() money.Decimal {
	x, err := money.ParseDecimal(d.string())
	if err != nil {
		d.fail()
	}
	return x
}

func (d *decoder) amount() money.Amount { return money.Amount(d.int()) }
func (d *decoder) bytes() []byte        { return append([]byte(nil), d.take(d.uint())...) } // nil if empty
func (d *decoder) bool() bool {
	b := d.take(1)
	return len(b) == 1 && b[0] == 1
}

// string shares one copy with the record's other strings: most have many.
func (d *decoder) string() string {
	n := d.uint()
	if n == 0 || n > uint64(len(d.b)) || len(d.b) > maxShared {
		return string(d.take(n))
	}
	if d.text == "" {
		d.text = string(d.b)
	}
	from := len(d.text) - len(d.b)
	return d.text[from : from+len(d.take(n))]
}

// maxShared keeps a short string from holding a large record in memory.
const maxShared = 4096

func (d *decoder) hash() (h [32]byte) {
	copy(h[:], d.take(32))
	return h
}

func (d *decoder) time() time.Time {
	n := d.int()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func (d *decoder) strings() (list []string) {
	for range d.list() {
		list = append(list, d.string())
	}
	return list
}

func (d *decoder) selector() (s selector.Selector) {
	if d.bool() {
		s = selector.Selector{Operations: d.strings(), Features: d.strings(), Tags: d.strings(), Models: d.strings()}
	}
	return s
}

// version checks the byte that every record starts with.
func (d *decoder) version(what string) {
	b := d.take(1)
	if len(b) == 0 {
		return
	}
	if d.v1 = b[0] == 1; !d.v1 && b[0] != recordVersion {
		d.err = fmt.Errorf("%w: %s of format %d, this version reads 1 to %d", ErrFormat, what, b[0], recordVersion)
		d.b = nil
	}
}

func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.err = fmt.Errorf("%w: %d bytes too many", ErrFormat, len(d.b))
	}
	return d.err
}
