package money

import (
	"math/big"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/farebox-dev/farebox/internal/seed"
)

// TestSweepAgainstBig is every operation of prices against math/big, on numbers
// of all lengths up to 128 bits, many of them near powers of two and ten, where
// carries are. FAREBOX_LONG: ten million cases; FAREBOX_SEED repeats a run.
func TestSweepAgainstBig(t *testing.T) {
	cases := 500_000
	switch {
	case os.Getenv("FAREBOX_LONG") != "":
		cases = 12_000_000
	case testing.Short():
		cases = 50_000
	}
	seed := seed.Of(t)
	workers := runtime.GOMAXPROCS(0)
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			s := sweep{t: t, rng: rand.New(rand.NewPCG(seed, uint64(w)))} //nolint:gosec // not negative
			for n := 0; n < cases/workers && !t.Failed(); n++ {
				s.one()
			}
		})
	}
	work.Wait()
	t.Logf("FAREBOX_SEED=%d: %d cases, 0 mismatches", seed, cases/workers*workers)
}

// sweep is a worker with its scratch numbers.
type sweep struct {
	t             *testing.T
	rng           *rand.Rand
	a, b, c, d, p big.Int
}

func (s *sweep) uint() uint64 {
	x := s.rng.Uint64() >> s.rng.IntN(64)
	switch s.rng.IntN(4) {
	case 0:
		return 1<<s.rng.IntN(64) - uint64(s.rng.IntN(2)) //nolint:gosec // 0 or 1
	case 1:
		return pow10[s.rng.IntN(20)] - uint64(s.rng.IntN(2)) //nolint:gosec // 0 or 1
	}
	return x
}

func (s *sweep) decimal() Decimal {
	d := Decimal{lo: s.uint(), scale: s.rng.IntN(13)}
	if s.rng.IntN(2) == 0 {
		d.hi = s.uint()
	}
	return d
}

// same reports whether d is n × 10^-scale.
func (s *sweep) same(d Decimal, n *big.Int, scale int) bool {
	if d.scale == scale {
		return d.digits().Cmp(n) == 0
	}
	return new(big.Int).Mul(d.digits(), bigPow10(scale)).Cmp(new(big.Int).Mul(n, bigPow10(d.scale))) == 0
}

func (s *sweep) one() {
	x, y := s.decimal(), s.decimal()
	s.a.SetUint64(x.hi).Lsh(&s.a, 64).Or(&s.a, s.p.SetUint64(x.lo))
	s.b.SetUint64(y.hi).Lsh(&s.b, 64).Or(&s.b, s.p.SetUint64(y.lo))
	if got := x.Mul(y); !s.same(got, s.c.Mul(&s.a, &s.b), x.scale+y.scale) {
		s.t.Errorf("%s × %s = %s", x, y, got)
	}
	s.rounded(x)
	scale := max(x.scale, y.scale) // from here on both have the same
	s.a.Mul(&s.a, s.ten(scale-x.scale))
	s.b.Mul(&s.b, s.ten(scale-y.scale))
	if got := x.Add(y); !s.same(got, s.c.Add(&s.a, &s.b), scale) {
		s.t.Errorf("%s + %s = %s", x, y, got)
	}
	cmp := s.a.Cmp(&s.b)
	if got := x.Cmp(y); got != cmp {
		s.t.Errorf("%s compared with %s: %d", x, y, got)
	}
	if got, ok := x.Sub(y); ok != (cmp >= 0) || ok && !s.same(got, s.c.Sub(&s.a, &s.b), scale) {
		s.t.Errorf("%s - %s = %s, %t", x, y, got, ok)
	}
	if s.rng.IntN(8) == 0 && !y.IsZero() {
		decimals := s.rng.IntN(10)
		s.c.Quo(s.c.Mul(&s.a, s.ten(decimals)), &s.b)
		got, err := Div(x, y, decimals)
		s.amount("÷ "+y.String()+" of", x, got, err)
	}
}

// rounded checks both roundings of x, whose digits are in s.a.
func (s *sweep) rounded(x Decimal) {
	decimals := s.rng.IntN(10)
	s.c.Mul(&s.a, s.ten(decimals))
	s.c.QuoRem(&s.c, s.ten(x.scale), &s.d)
	got, err := x.Floor(decimals)
	s.amount("floor", x, got, err)
	if s.d.Sign() > 0 {
		s.c.Add(&s.c, s.p.SetUint64(1))
	}
	got, err = x.Ceil(decimals)
	s.amount("ceil", x, got, err)
}

// amount compares with s.c; what does not fit is an error.
func (s *sweep) amount(what string, x Decimal, got Amount, err error) {
	if s.c.IsInt64() != (err == nil) || err == nil && int64(got) != s.c.Int64() {
		s.t.Errorf("%s %s: %d, %v; want %s", what, x, got, err, &s.c)
	}
}

var tens = func() (list [32]*big.Int) {
	for i := range list {
		list[i] = bigPow10(i)
	}
	return list
}()

func (s *sweep) ten(n int) *big.Int { return tens[n] }
