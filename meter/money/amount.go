// Package money holds the two number types of Farebox: Amount, what the ledger
// counts, and Decimal, what prices are made of. Neither ever goes through a
// float, and every operation that could overflow says so.
package money

import (
	"errors"
	"fmt"
	"math"
)

// Errors of this package. Test with errors.Is.
var (
	ErrSyntax    = errors.New("not a decimal number")
	ErrNegative  = errors.New("negative number")
	ErrPrecision = errors.New("more decimals than the unit of account has")
	ErrOverflow  = errors.New("number too large")
)

// MaxDecimals is the finest smallest step: 10^-9 credit.
const MaxDecimals = 9

// Amount counts smallest steps of the unit of account: 10^-decimals credit.
// How many decimals that is belongs to the price book, and a store remembers
// the one it was made with.
type Amount int64

// Max is the largest Amount.
const Max Amount = math.MaxInt64

// ParseAmount reads decimal text such as "1_000.5" as an Amount with the given
// number of decimals. It does not round: more decimals are ErrPrecision.
func ParseAmount(text string, decimals int) (Amount, error) {
	d, err := ParseDecimal(text)
	if err != nil {
		return 0, err
	}
	a, err := d.Floor(decimals)
	if err != nil {
		return 0, err
	}
	if a.Decimal(decimals).Cmp(d) != 0 {
		return 0, fmt.Errorf("%w: %s has more than %d", ErrPrecision, text, decimals)
	}
	return a, nil
}

// Text is the shortest exact decimal text: "0.001392", "5", "-1.5".
func (a Amount) Text(decimals int) string {
	u := uint64(a) //nolint:gosec // two's complement: the magnitude of MinInt64 fits uint64
	if a < 0 {
		u = -u
	}
	fraction := decimals
	for fraction > 0 && u%10 == 0 { // zeros at the end are not written
		u, fraction = u/10, fraction-1
	}
	var room [64]byte
	i := len(room)
	for n := 0; n <= fraction || u > 0; n++ { // from the last digit to the first
		if n == fraction && n > 0 {
			i--
			room[i] = '.'
		}
		i--
		room[i] = byte('0' + u%10)
		u /= 10
	}
	if a < 0 {
		i--
		room[i] = '-'
	}
	return string(room[i:])
}

// Add is a + b, or ErrOverflow.
func (a Amount) Add(b Amount) (Amount, error) {
	c := a + b
	if (c > a) != (b > 0) && b != 0 {
		return 0, fmt.Errorf("%w: %d + %d", ErrOverflow, a, b)
	}
	return c, nil
}

// Sub is a - b, or ErrOverflow.
func (a Amount) Sub(b Amount) (Amount, error) {
	c := a - b
	if (c < a) != (b > 0) && b != 0 {
		return 0, fmt.Errorf("%w: %d - %d", ErrOverflow, a, b)
	}
	return c, nil
}

// Decimal is the amount in credits. A negative amount gives its magnitude.
func (a Amount) Decimal(decimals int) Decimal {
	u := uint64(a) //nolint:gosec // see Text
	if a < 0 {
		u = -u
	}
	return FromInt(u).Shift(-decimals)
}
