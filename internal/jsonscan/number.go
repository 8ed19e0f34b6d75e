package jsonscan

import "bytes"

// maxDigits bounds the digits that are looked at; the rest of a fraction is dropped.
const maxDigits = 40

// Int reads a number as an integer multiple of 1/scale, rounded up; scale is a
// power of ten. It takes 12.0 and 1e4 for integers. ok is false for anything that
// is not a number, and for numbers above limit.
func Int(b []byte, scale, limit int64) (n int64, ok bool) {
	b, negative := bytes.CutPrefix(b, []byte{'-'})
	mantissa, exponent, ok := cutExponent(b)
	whole, fraction, _ := bytes.Cut(mantissa, []byte{'.'})
	if !ok || len(whole) == 0 || len(whole) > maxDigits {
		return 0, false
	}
	for ; scale > 1; scale /= 10 {
		exponent++
		limit *= 10
	}
	fraction = fraction[:min(len(fraction), maxDigits-len(whole))]
	var room [maxDigits]byte
	n, ok = shift(append(append(room[:0], whole...), fraction...), len(whole)+exponent, limit, !negative)
	if negative {
		n = -n
	}
	return n, ok
}

// shift reads digits as a decimal fraction with point digits before its point.
// Not ok: a byte is no digit, or the number is above limit.
func shift(digits []byte, point int, limit int64, roundUp bool) (n int64, ok bool) {
	rest := false
	for i := range max(len(digits), point) {
		d := int64(0)
		if i < len(digits) {
			d = int64(digits[i]) - '0'
		}
		if d < 0 || d > 9 {
			return 0, false
		}
		if i >= point {
			rest = rest || d != 0
		} else if n = n*10 + d; n > limit {
			return 0, false
		}
	}
	if rest && roundUp {
		n++
	}
	return n, n <= limit
}

func cutExponent(b []byte) (mantissa []byte, exponent int, ok bool) {
	i := bytes.IndexAny(b, "eE")
	if i < 0 {
		return b, 0, true
	}
	mantissa, b = b[:i], b[i+1:]
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 4 {
		return nil, 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return nil, 0, false
		}
		exponent = exponent*10 + int(c-'0')
	}
	if negative {
		exponent = -exponent
	}
	return mantissa, exponent, exponent >= -18 && exponent <= 18
}
