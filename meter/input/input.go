// Package input is about what clients send. Its error says what is wrong with it:
// a value that can't be read, a name that does not exist. Every room uses the same
// error, so that an API answers 400 to all of them.
package input

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrInvalid wraps every error about a request's content. The text says what
// was read and what to write instead.
var ErrInvalid = errors.New("invalid request")

// Errorf is fmt.Errorf of an error that wraps ErrInvalid.
func Errorf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// Printable is a text from a client with a space in place of each control
// character, so that nothing in it is taken for structure.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// LongestText is how many bytes a text of a client or an upstream may have that is kept in the ledger: a model, a label, a
// member, the code of an error. The ledger keeps it as long as it keeps the charge, even of a request that failed and cost nothing.
const LongestText = 256

// TooLong is the error of a text of a client that is too long to be kept.
type TooLong struct {
	Field string
	Bytes int
}

func (e *TooLong) Error() string {
	return fmt.Sprintf("%s has %d bytes, and at most %d are kept", e.Field, e.Bytes, LongestText)
}

// Unwrap makes it an ErrInvalid.
func (e *TooLong) Unwrap() error { return ErrInvalid }

// Bounded returns a *TooLong for a text that is too long to be kept.
func Bounded(field, text string) error {
	if len(text) <= LongestText {
		return nil
	}
	return &TooLong{Field: field, Bytes: len(text)}
}

// Cut is a text of an upstream as it is kept: a long one ends with … where it was cut.
func Cut(text string) string {
	const mark = "…"
	if len(text) <= LongestText {
		return text
	}
	end := LongestText - len(mark)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
