package store

import (
	"encoding/binary"
	"strings"
)

// Sequence is a number as a name that sorts in its order.
func Sequence(n uint64) string {
	return string(binary.BigEndian.AppendUint64(nil, n))
}

// ParseSequence reads the number that a name begins with; rest is what follows.
func ParseSequence(name string) (n uint64, rest string, ok bool) {
	if len(name) < 8 {
		return 0, "", false
	}
	return binary.BigEndian.Uint64([]byte(name[:8])), name[8:], true
}

// A part of a tuple ends with tupleEnd; a NUL in it is written as tupleNUL. Both
// sort before any other byte that can follow, and the end before the NUL.
const (
	tupleEnd = "\x00\x01"
	tupleNUL = "\x00\xff"
)

// Tuple is a name made of parts. Tuples sort by their first parts, then by their
// second ones, and so on; a part may hold any bytes.
func Tuple(parts ...string) string {
	size := 0
	for _, p := range parts {
		size += len(p) + len(tupleEnd)
	}
	var b strings.Builder
	b.Grow(size)
	for _, p := range parts {
		b.WriteString(strings.ReplaceAll(p, "\x00", tupleNUL))
		b.WriteString(tupleEnd)
	}
	return b.String()
}

// ParseTuple reads what Tuple wrote.
func ParseTuple(name string) (parts []string, ok bool) {
	for len(name) > 0 {
		part, rest, ended := strings.Cut(name, tupleEnd)
		if !ended {
			return nil, false
		}
		parts, name = append(parts, strings.ReplaceAll(part, tupleNUL, "\x00")), rest
	}
	return parts, true
}
