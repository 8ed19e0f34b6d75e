// Package input is about what clients send. Its error says what is wrong with it:
// a value that can't be read, a name that does not exist. Every room uses the same
// error, so that an API answers 400 to all of them.
package input

import (
	"errors"
	"fmt"
	"strings"
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
