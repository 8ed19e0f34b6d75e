package money

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/farebox-dev/farebox/internal/seed"
)

func dec(t *testing.T, s string) Decimal {
	t.Helper()
	d, err := ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAmountText(t *testing.T) {
	for _, c := range []struct {
		in       string
		decimals int
		want     string
		err      error
	}{
		{"1_000", 0, "1000", nil},
		{"0.001392", 6, "0.001392", nil},
		{"5.00", 2, "5", nil},
		{"5.001", 2, "", ErrPrecision},
		{"-1", 2, "", ErrSyntax},
		{"1e3", 2, "", ErrSyntax},
		{"", 2, "", ErrSyntax},
		{".5", 2, "", ErrSyntax},
		{"5.", 2, "", ErrSyntax},
		{"_5", 2, "", ErrSyntax},
		{"9223372036854775807", 0, "9223372036854775807", nil},
		{"9223372036854775808", 0, "", ErrOverflow},
		{"9223372036854775.807", 3, "9223372036854775.807", nil},
	} {
		a, err := ParseAmount(c.in, c.decimals)
		if !errors.Is(err, c.err) {
			t.Errorf("ParseAmount(%q, %d): error %v, want %v", c.in, c.decimals, err, c.err)
		} else if err == nil && a.Text(c.decimals) != c.want {
			t.Errorf("ParseAmount(%q, %d) = %s, want %s", c.in, c.decimals, a.Text(c.decimals), c.want)
		}
	}
	if got := Amount(-1500).Text(3); got != "-1.5" {
		t.Errorf("-1500 steps of 0.001 = %s", got)
	}
	if got := Amount(-9223372036854775808).Text(0); got != "-9223372036854775808" {
		t.Errorf("smallest amount = %s", got)
	}
}

func TestAmountOverflowIsAnError(t *testing.T) {
	if _, err := Max.Add(1); !errors.Is(err, ErrOverflow) {
		t.Errorf("Max + 1: %v", err)
	}
	if _, err := (-Max).Sub(2); !errors.Is(err, ErrOverflow) {
		t.Errorf("-Max - 2: %v", err)
	}
	if c, err := Max.Add(-1); err != nil || c != Max-1 {
		t.Errorf("Max - 1 = %d, %v", c, err)
	}
}

func TestJSONNumbers(t *testing.T) {
	for in, want := range map[string]string{"2.0": "2", "1e1": "10", "-0": "0", "2.5E-1": "0.25", "12": "12"} {
		d, err := ParseJSONNumber(in)
		if err != nil || d.String() != want {
			t.Errorf("%s = %s, %v; want %s", in, d, err, want)
		}
	}
	for in, want := range map[string]error{"-3": ErrNegative, "1e999": ErrOverflow, "x": ErrSyntax, "1_0": ErrSyntax} {
		if _, err := ParseJSONNumber(in); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", in, err, want)
		}
	}
}

func TestDecimalText(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "0.000": "0", "7": "7", "1_000": "1000", "2.50": "2.5", "10.0": "10", "0.05": "0.05", "0.00000000000000000000000000001": "0.00000000000000000000000000001",
		"18446744073709551615": "18446744073709551615", "18446744073709551616.5": "18446744073709551616.5", "1234567890123456789012345678901234567890.100": "1234567890123456789012345678901234567890.1",
	} {
		if got := string(dec(t, in).Append([]byte("="))); got != "="+want {
			t.Errorf("%s is written %q", in, got)
		}
	}
}

func rat(d Decimal) *big.Rat {
	r, _ := new(big.Rat).SetString(d.String())
	return r
}

// Every operation against math/big, over sizes that cross 64 and 128 bits.
func TestAgainstBig(t *testing.T) {
	const cases = 60_000
	seed := seed.Of(t)
	t.Logf("seed %d, %d cases", seed, cases)
	rng := rand.New(rand.NewPCG(seed, 1))
	digits := func() string {
		n, s := 1+rng.IntN(45), ""
		for range n {
			s += string(rune('0' + rng.IntN(10)))
		}
		if f := rng.IntN(3); f > 0 && n > f*5 {
			s = s[:n-f*5] + "." + s[n-f*5:]
		}
		return s
	}
	for i := range cases {
		a, b := dec(t, digits()), dec(t, digits())
		ra, rb := rat(a), rat(b)
		if got := rat(a.Add(b)); got.Cmp(new(big.Rat).Add(ra, rb)) != 0 {
			t.Fatalf("case %d: %s + %s = %s", i, a, b, got)
		}
		if got := rat(a.Mul(b)); got.Cmp(new(big.Rat).Mul(ra, rb)) != 0 {
			t.Fatalf("case %d: %s × %s = %s", i, a, b, got)
		}
		if a.Cmp(b) != ra.Cmp(rb) {
			t.Fatalf("case %d: cmp %s %s", i, a, b)
		}
		if got, ok := a.Sub(b); ok != (ra.Cmp(rb) >= 0) || ok && rat(got).Cmp(new(big.Rat).Sub(ra, rb)) != 0 {
			t.Fatalf("case %d: %s - %s = %s %t", i, a, b, got, ok)
		}
		checkRounding(t, a, rng.IntN(10))
		if !b.IsZero() {
			checkDiv(t, a, b, rng.IntN(10))
		}
	}
}

func checkRounding(t *testing.T, d Decimal, decimals int) {
	t.Helper()
	steps := new(big.Rat).Mul(rat(d), new(big.Rat).SetInt(bigPow10(decimals)))
	floor := new(big.Int).Quo(steps.Num(), steps.Denom())
	ceil := new(big.Int).Set(floor)
	if !steps.IsInt() {
		ceil.Add(ceil, big.NewInt(1))
	}
	for _, c := range []struct {
		f    func(int) (Amount, error)
		want *big.Int
	}{{d.Floor, floor}, {d.Ceil, ceil}} {
		got, err := c.f(decimals)
		if c.want.IsInt64() != (err == nil) || err == nil && int64(got) != c.want.Int64() {
			t.Fatalf("%s at %d decimals: %d, %v; want %s", d, decimals, got, err, c.want)
		}
	}
}

func checkDiv(t *testing.T, a, b Decimal, decimals int) {
	t.Helper()
	q := new(big.Rat).Quo(rat(a), rat(b))
	q.Mul(q, new(big.Rat).SetInt(bigPow10(decimals)))
	want := new(big.Int).Quo(q.Num(), q.Denom())
	got, err := Div(a, b, decimals)
	if want.IsInt64() != (err == nil) || err == nil && int64(got) != want.Int64() {
		t.Fatalf("%s ÷ %s: %d, %v; want %s", a, b, got, err, want)
	}
}

func TestSmallArithmeticDoesNotAllocate(t *testing.T) {
	q, r := FromInt(20_000_000), dec(t, "600").Shift(-6)
	markup := dec(t, "1.2")
	text := make([]byte, 0, 48)
	n := testing.AllocsPerRun(1000, func() {
		price := q.Mul(r).Mul(markup).Add(r)
		if _, err := price.Ceil(6); err != nil {
			t.Fatal(err)
		}
		if text = price.Append(text[:0]); len(text) == 0 {
			t.Fatal("no text")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
