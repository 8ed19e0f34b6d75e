package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/farebox-dev/farebox/meter/usage"
)

// Digest is a sum over usage rows, modulo the prime 2^61-1, in which each number of
// each row is multiplied by a factor that depends on the row's name and the number's.
// What charges add to rows and the rows themselves thus come to the same digest,
// whatever was added when; another number in one row always gives another digest, and
// in several rows all but surely. So the rows of charges that left can be verified
// without a copy of them.
type Digest uint64

const prime = 1<<61 - 1

// Add adds what was used to a row. The name is that of usage.Key.
func (d *Digest) Add(row string, s *usage.Sum) {
	for name, n := range map[string]int64{
		"requests": s.Requests, "failed": s.Failed, "estimated": s.Estimated,
		"cost": int64(s.Cost), "refunded": int64(s.Refunded), "absorbed": int64(s.Absorbed),
	} {
		d.add(row, name, integer(n))
	}
	for _, u := range s.Units {
		whole, fraction, _ := strings.Cut(u.Count.String(), ".")
		d.add(row, "unit "+u.Unit, times(digits(whole+fraction), powers[mostDigits-len(fraction)]))
	}
}

// mostDigits is how many digits a number has behind its point, at most: each counts
// as so many 10^-mostDigits.
const mostDigits = 400

// powers are those of ten, modulo the prime.
var powers = func() (list [mostDigits + 1]uint64) {
	list[0] = 1
	for i := range mostDigits {
		list[i+1] = times(list[i], 10)
	}
	return list
}()

// Sub takes off what Add has added.
func (d *Digest) Sub(row string, s *usage.Sum) {
	var off Digest
	off.Add(row, s)
	*d = (*d + prime - off) % prime
}

func (d *Digest) add(row, name string, n uint64) {
	if n == 0 {
		return
	}
	h := sha256.Sum256([]byte(name + "\x00" + row))
	factor := binary.BigEndian.Uint64(h[:])%(prime-1) + 1
	*d = Digest((uint64(*d) + times(factor, n)) % prime)
}

// times is a × b modulo the prime.
func times(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	_, rest := bits.Div64(hi%prime, lo, prime)
	return rest
}

// integer is n modulo the prime.
func integer(n int64) uint64 {
	if n < 0 {
		return (prime - uint64(-n)%prime) % prime //nolint:gosec // n is negative
	}
	return uint64(n) % prime
}

// digits is a number of any length modulo the prime.
func digits(s string) (n uint64) {
	for i := range len(s) {
		n = (times(n, 10) + uint64(s[i]-'0')) % prime
	}
	return n
}
