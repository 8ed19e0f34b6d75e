package dialect

import "bytes"

// maxCount is the largest count that is believed. No answer has a trillion tokens; more is an upstream's error
// and would overflow in a multiplication.
const maxCount = 1 << 40

// parseNumber reads a JSON number as an integer multiple of 1/scale, rounded up (scale 1, 1000 …). Cohere sends counts
// as 12.0, Python clients send limits as 1e4. ok is false for anything that is not a number below maxCount.
func parseNumber(b []byte, scale int64) (n int64, ok bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	mantissa, exponent, hasExp := b, int64(0), false
	if i := bytes.IndexAny(b, "eE"); i >= 0 {
		mantissa, hasExp = b[:i], true
		if exponent, ok = parseExponent(b[i+1:]); !ok {
			return 0, false
		}
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte{'.'})
	if len(whole) == 0 || hasExp && exponent > 18 || exponent < -18 {
		return 0, false
	}
	for f := scale; f > 1; f /= 10 {
		exponent++
	}
	digits := make([]byte, 0, 48)
	if len(whole)+len(fraction) > 40 {
		if len(whole) > 40 {
			return 0, false
		}
		fraction = fraction[:40-len(whole)]
	}
	digits = append(append(digits, whole...), fraction...)
	point := int64(len(whole)) + exponent // digits before the decimal point
	rest := false
	for i, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		if int64(i) >= point {
			rest = rest || c != '0'
			continue
		}
		if n = n*10 + int64(c-'0'); n > maxCount*1000 {
			return 0, false
		}
	}
	for i := int64(len(digits)); i < point; i++ {
		if n *= 10; n > maxCount*1000 {
			return 0, false
		}
	}
	if rest && !neg {
		n++
	}
	if neg {
		n = -n
	}
	return n, n <= maxCount*scale
}

func parseExponent(b []byte) (int64, bool) {
	neg := false
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		neg = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 4 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if neg {
		n = -n
	}
	return n, true
}

// looseNumber also takes a number in a string ("8"), as many upstreams do.
func looseNumber(raw []byte, scale int64) (int64, bool) {
	if len(raw) >= 2 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	return parseNumber(raw, scale)
}
