// Package seed decides what a randomised test repeats.
package seed

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Of is the seed of a test, which it logs: FAREBOX_SEED if that is set, a random
// one if FAREBOX_RANDOM is, else always the same.
func Of(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(1)
	if os.Getenv("FAREBOX_RANDOM") != "" {
		seed = rand.Uint64() //nolint:gosec // no secret
	}
	if s := os.Getenv("FAREBOX_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("FAREBOX_SEED: %v", err)
		}
	}
	t.Logf("FAREBOX_SEED=%d", seed)
	return seed
}
