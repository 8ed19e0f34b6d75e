package money

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Decimal is an exact, non-negative decimal number of any size. The zero value
// is 0. It is immutable and safe for concurrent use. Numbers up to 128 bits of
// digits are computed without allocation; larger ones go through math/big, so
// arithmetic never overflows: only turning the result into an Amount can.
type Decimal struct {
	hi, lo uint64   // digits, when big is nil
	big    *big.Int // digits beyond 128 bits; never changed once set
	scale  int      // value = digits × 10^-scale, scale ≥ 0
}

// FromInt is n.
func FromInt(n uint64) Decimal { return Decimal{lo: n} }

// ParseDecimal reads digits with at most one point and with "_" anywhere
// between digits: "20_000", "0.25". No sign, no exponent.
func ParseDecimal(text string) (Decimal, error) {
	intPart, frac, point := strings.Cut(text, ".")
	if !digitsOK(intPart) || point && !digitsOK(frac) {
		return Decimal{}, fmt.Errorf("%w: %q", ErrSyntax, text)
	}
	digits := strings.ReplaceAll(intPart+frac, "_", "")
	scale := len(strings.ReplaceAll(frac, "_", ""))
	if len(digits) > 400 {
		return Decimal{}, fmt.Errorf("%w: %d digits", ErrOverflow, len(digits))
	}
	return fromDigits(digits, scale), nil
}

func digitsOK(s string) bool {
	if s == "" || s[0] == '_' || s[len(s)-1] == '_' {
		return false
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && s[i] != '_' {
			return false
		}
	}
	return true
}

func fromDigits(digits string, scale int) Decimal {
	var d Decimal
	for i := range len(digits) {
		c := uint64(digits[i] - '0')
		hiOver, hi := bits.Mul64(d.hi, 10)
		mid, lo := bits.Mul64(d.lo, 10)
		lo, carry := bits.Add64(lo, c, 0)
		hi, carry = bits.Add64(hi, mid, carry)
		if hiOver != 0 || carry != 0 {
			n, _ := new(big.Int).SetString(digits, 10)
			return trim(n, scale)
		}
		d.hi, d.lo = hi, lo
	}
	d.scale = scale
	return d
}

// ParseJSONNumber reads the text of a JSON number, exponent included. A
// negative one is ErrNegative (-0 is 0), an exponent beyond reason ErrOverflow.
func ParseJSONNumber(text string) (Decimal, error) {
	mantissa, exp, neg := text, 0, false
	if strings.HasPrefix(mantissa, "-") {
		mantissa, neg = mantissa[1:], true
	}
	if i := strings.IndexAny(mantissa, "eE"); i >= 0 {
		if strings.Contains(mantissa, "_") {
			return Decimal{}, fmt.Errorf("%w: %q", ErrSyntax, text)
		}
		if _, err := fmt.Sscanf(mantissa[i+1:], "%d", &exp); err != nil {
			return Decimal{}, fmt.Errorf("%w: %q", ErrSyntax, text)
		}
		mantissa = mantissa[:i]
	}
	if strings.Contains(mantissa, "_") {
		return Decimal{}, fmt.Errorf("%w: %q", ErrSyntax, text)
	}
	d, err := ParseDecimal(mantissa)
	switch {
	case err != nil:
		return Decimal{}, err
	case d.IsZero():
		return Decimal{}, nil
	case neg:
		return Decimal{}, fmt.Errorf("%w: %s", ErrNegative, text)
	case exp > 400 || exp < -400:
		return Decimal{}, fmt.Errorf("%w: %s", ErrOverflow, text)
	}
	return d.Shift(exp), nil
}

// trim keeps n small where it fits 128 bits. It takes ownership of n.
func trim(n *big.Int, scale int) Decimal {
	if n.BitLen() > 128 {
		return Decimal{big: n, scale: scale}
	}
	var buf [16]byte
	n.FillBytes(buf[:])
	d := Decimal{scale: scale}
	d.hi, d.lo = binary.BigEndian.Uint64(buf[:8]), binary.BigEndian.Uint64(buf[8:])
	return d
}

func (d Decimal) digits() *big.Int {
	if d.big != nil {
		return d.big
	}
	n := new(big.Int).SetUint64(d.hi)
	n.Lsh(n, 64)
	return n.Or(n, new(big.Int).SetUint64(d.lo))
}

func (d Decimal) small() bool { return d.big == nil && d.hi == 0 }

// IsZero reports whether d is 0.
func (d Decimal) IsZero() bool { return d.big == nil && d.hi == 0 && d.lo == 0 }

var pow10 = func() (p [20]uint64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 10
	}
	return p
}()

func bigPow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// upscale multiplies the digits by 10^k and adds k to the scale: the same value.
func (d Decimal) upscale(k int) Decimal {
	if k == 0 {
		return d
	}
	if d.small() && k < len(pow10) {
		hi, lo := bits.Mul64(d.lo, pow10[k])
		return Decimal{hi: hi, lo: lo, scale: d.scale + k}
	}
	return trim(new(big.Int).Mul(d.digits(), bigPow10(k)), d.scale+k)
}

func align(a, b Decimal) (Decimal, Decimal) {
	if a.scale < b.scale {
		return a.upscale(b.scale - a.scale), b
	}
	return a, b.upscale(a.scale - b.scale)
}

// Add is d + e.
func (d Decimal) Add(e Decimal) Decimal {
	d, e = align(d, e)
	if d.big == nil && e.big == nil {
		lo, carry := bits.Add64(d.lo, e.lo, 0)
		hi, over := bits.Add64(d.hi, e.hi, carry)
		if over == 0 {
			return Decimal{hi: hi, lo: lo, scale: d.scale}
		}
	}
	return trim(new(big.Int).Add(d.digits(), e.digits()), d.scale)
}

// Sub is d - e; false, and 0, if that is negative.
func (d Decimal) Sub(e Decimal) (Decimal, bool) {
	d, e = align(d, e)
	if d.big == nil && e.big == nil {
		lo, borrow := bits.Sub64(d.lo, e.lo, 0)
		hi, under := bits.Sub64(d.hi, e.hi, borrow)
		if under != 0 {
			return Decimal{}, false
		}
		return Decimal{hi: hi, lo: lo, scale: d.scale}, true
	}
	n := new(big.Int).Sub(d.digits(), e.digits())
	if n.Sign() < 0 {
		return Decimal{}, false
	}
	return trim(n, d.scale), true
}

// Mul is d × e.
func (d Decimal) Mul(e Decimal) Decimal {
	scale := d.scale + e.scale
	if d.small() && e.small() {
		hi, lo := bits.Mul64(d.lo, e.lo)
		return Decimal{hi: hi, lo: lo, scale: scale}
	}
	if e.big == nil && e.hi != 0 {
		d, e = e, d
	}
	if d.big == nil && e.small() {
		over, hi := bits.Mul64(d.hi, e.lo)
		mid, lo := bits.Mul64(d.lo, e.lo)
		hi, carry := bits.Add64(hi, mid, 0)
		if over == 0 && carry == 0 {
			return Decimal{hi: hi, lo: lo, scale: scale}
		}
	}
	return trim(new(big.Int).Mul(d.digits(), e.digits()), scale)
}

// Shift is d × 10^n; n may be negative.
func (d Decimal) Shift(n int) Decimal {
	if d.IsZero() {
		return Decimal{}
	}
	if s := d.scale - n; s >= 0 {
		d.scale = s
		return d
	}
	d = d.upscale(n - d.scale)
	d.scale = 0
	return d
}

// Cmp is -1, 0 or +1 as d is less than, equal to or greater than e.
func (d Decimal) Cmp(e Decimal) int {
	d, e = align(d, e)
	if d.big != nil || e.big != nil {
		return d.digits().Cmp(e.digits())
	}
	switch {
	case d.hi != e.hi && d.hi < e.hi, d.hi == e.hi && d.lo < e.lo:
		return -1
	case d.hi == e.hi && d.lo == e.lo:
		return 0
	}
	return 1
}

// IsInt reports whether d is whole by value: 2, 2.0.
func (d Decimal) IsInt() bool {
	_, exact := d.steps(0)
	return exact
}

// Int64 is d if it is whole and fits.
func (d Decimal) Int64() (int64, bool) {
	n, exact := d.steps(0)
	if !exact || n.big != nil || n.hi != 0 || n.lo > math.MaxInt64 {
		return 0, false
	}
	return int64(n.lo), true
}

// steps is the whole number of 10^-decimals steps in d and whether nothing is
// left over.
func (d Decimal) steps(decimals int) (n Decimal, exact bool) {
	drop := d.scale - decimals
	if drop <= 0 {
		n = d.upscale(-drop)
		n.scale = 0
		return n, true
	}
	if d.big == nil && drop < len(pow10) {
		p := pow10[drop]
		qhi, r := d.hi/p, d.hi%p
		qlo, r := bits.Div64(r, d.lo, p)
		return Decimal{hi: qhi, lo: qlo}, r == 0
	}
	q, r := new(big.Int).QuoRem(d.digits(), bigPow10(drop), new(big.Int))
	return trim(q, 0), r.Sign() == 0
}

// Ceil rounds d up to a whole number of 10^-decimals steps: the one rounding
// of a price.
func (d Decimal) Ceil(decimals int) (Amount, error) {
	n, exact := d.steps(decimals)
	if !exact {
		n = n.Add(FromInt(1))
	}
	return n.amount(d)
}

// Floor rounds d down to a whole number of 10^-decimals steps: what money buys.
func (d Decimal) Floor(decimals int) (Amount, error) {
	n, _ := d.steps(decimals)
	return n.amount(d)
}

func (d Decimal) amount(of Decimal) (Amount, error) {
	if d.big != nil || d.hi != 0 || d.lo > math.MaxInt64 {
		return 0, fmt.Errorf("%w: %s", ErrOverflow, of)
	}
	return Amount(d.lo), nil
}

// Div is a ÷ b rounded down to 10^-decimals. b must not be 0.
func Div(a, b Decimal, decimals int) (Amount, error) {
	if b.IsZero() {
		return 0, fmt.Errorf("%w: division by zero", ErrOverflow)
	}
	a, b = align(a, b)
	n := new(big.Int).Mul(a.digits(), bigPow10(decimals))
	return trim(n.Quo(n, b.digits()), 0).amount(a)
}

// String is the shortest exact decimal text.
func (d Decimal) String() string {
	var room [48]byte
	return string(d.Append(room[:0]))
}

// Append appends the text of String to b.
func (d Decimal) Append(b []byte) []byte {
	start := len(b)
	if d.small() {
		b = strconv.AppendUint(b, d.lo, 10)
	} else {
		b = d.digits().Append(b, 10)
	}
	if d.scale == 0 {
		return b
	}
	for len(b)-start <= d.scale {
		b = slices.Insert(b, start, '0')
	}
	b = slices.Insert(b, len(b)-d.scale, '.')
	return bytes.TrimSuffix(bytes.TrimRight(b, "0"), []byte("."))
}
