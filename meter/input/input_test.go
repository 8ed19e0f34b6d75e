package input

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// A text that is cut says so, fits, and stays valid, wherever the cut falls.
func TestCut(t *testing.T) {
	for _, letter := range []string{"x", "é", "霧", "😀"} {
		for n := range LongestText + 8 {
			text := strings.Repeat("x", n%5) + strings.Repeat(letter, n)
			got := Cut(text)
			switch {
			case len(got) > LongestText || !utf8.ValidString(got):
				t.Errorf("%d times %s: %d bytes, valid: %v", n, letter, len(got), utf8.ValidString(got))
			case len(text) <= LongestText && got != text:
				t.Errorf("%q became %q", text, got)
			case len(text) > LongestText && (!strings.HasSuffix(got, "…") || !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) || len(got) < LongestText-6):
				t.Errorf("%d times %s: %q", n, letter, got)
			}
		}
	}
}

func TestBounded(t *testing.T) {
	var long *TooLong
	if err := Bounded("model", strings.Repeat("x", LongestText)); err != nil {
		t.Error(err)
	}
	if err := Bounded("model", strings.Repeat("x", LongestText+1)); !errors.As(err, &long) || !errors.Is(err, ErrInvalid) || long.Bytes != LongestText+1 {
		t.Error(err)
	}
}
