// Package ulid makes ids that sort by time.
package ulid

import (
	"crypto/rand"
	"strings"
	"time"
)

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// New is prefix and a ULID: 48 bits of milliseconds, 80 random bits.
// Source: github.com/ulid/spec.
func New(prefix string, now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[6:])       // never fails
	ms := uint64(now.UnixMilli()) //nolint:gosec // after 1970
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i)) //nolint:gosec // one byte of six
	}
	out := make([]byte, len(prefix), len(prefix)+26)
	copy(out, prefix)
	// 128 bits in 26 digits of 5: the first digit has 3.
	bit := -2
	for range 26 {
		v := 0
		for range 5 {
			v <<= 1
			if bit >= 0 {
				v |= int(b[bit/8]>>(7-bit%8)) & 1
			}
			bit++
		}
		out = append(out, crockford[v])
	}
	return string(out)
}

// Least is the lower bound of the ids that New makes at t or later.
func Least(prefix string, t time.Time) string {
	ms := uint64(max(0, t.UnixMilli())) //nolint:gosec // not negative
	var b [10]byte
	for i := range b {
		b[len(b)-1-i] = crockford[ms&31]
		ms >>= 5
	}
	return prefix + string(b[:])
}

// Time is when an id that New has made was made; not ok if it is another text.
func Time(prefix, id string) (at time.Time, ok bool) {
	if len(id) != len(prefix)+26 || id[:len(prefix)] != prefix {
		return time.Time{}, false
	}
	ms := int64(0)
	for _, c := range []byte(id[len(prefix) : len(prefix)+10]) {
		n := strings.IndexByte(crockford, c)
		if n < 0 {
			return time.Time{}, false
		}
		ms = ms<<5 | int64(n)
	}
	return time.UnixMilli(ms).UTC(), true
}
