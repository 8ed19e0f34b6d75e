package tokens

import (
	"strings"
	"testing"
)

// Approximate o200k counts of short texts: a guard against gross changes, not a measurement.
func TestScanAgainstKnownCounts(t *testing.T) {
	tests := []struct {
		text  string
		exact int64
	}{
		{"The ferry left at dawn; fog delayed it by twenty minutes.", 13},
		{"hello world", 2},
		{"Antidisestablishmentarianism", 6},
		{"1234567890", 4},
		{"!!!!!!!!", 1},
	}
	for _, tt := range tests {
		s := Counter{}
		s.Write([]byte(tt.text))
		if got := s.Tokens(); got < tt.exact*9/10 || got > tt.exact*3+4 {
			t.Errorf("%q: %d tokens, exact %d", tt.text, got, tt.exact)
		}
	}
}

func TestScanInPieces(t *testing.T) {
	text := []byte(strings.Repeat("The quickBrown fox 12345 jumps!!  over\\n the \\\"lazy\\\" dog. ", 50))
	whole, pieces := Counter{}, Counter{}
	whole.Write(text)
	for i := range text {
		pieces.Write(text[i : i+1])
	}
	if d := pieces.cost - whole.cost; d < 0 || d*4 > whole.cost {
		t.Errorf("%d whole, %d in pieces", whole.cost, pieces.cost)
	}
}
