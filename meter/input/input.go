// Package input says what is wrong with what someone has asked for: a value
// that can't be read, a name that does not exist. Every room uses the same
// error, so that an API answers 400 to all of them.
package input

import (
	"errors"
	"fmt"
)

// ErrInvalid wraps every error about a request's content. The text says what
// was read and what to write instead.
var ErrInvalid = errors.New("invalid request")

// Errorf is fmt.Errorf of an error that wraps ErrInvalid.
func Errorf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}
