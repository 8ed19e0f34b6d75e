// Package intake reads lists of accounts that are to be imported: CSV, or lines of
// JSON. It says of each line what cannot be read, and what to write instead.
package intake

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
)

// Account is what a line says of an account. What is left out is the default.
type Account struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Email     string    `json:"email,omitempty"`     // of its admin
	Plan      string    `json:"plan,omitempty"`      // default: the price file's default plan
	RenewsAt  string    `json:"renews_at,omitempty"` // a day, or an instant
	Suspended bool      `json:"suspended,omitempty"`
	Balances  []Balance `json:"balances,omitempty"`
	Members   []Member  `json:"members,omitempty"`
	Keys      []Key     `json:"keys,omitempty"`

	Labels map[string]string `json:"labels,omitempty"`
}

// Balance is credits of a type.
type Balance struct {
	Type    string `json:"type,omitempty"` // default: top_up
	Amount  string `json:"amount"`
	Expires string `json:"expires,omitempty"` // a day, an instant, or "90 days"; default: never
}

// Member is one of the people or services of an account.
type Member struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	Role  string `json:"role,omitempty"` // default: member
}

// Key is an API key that clients use already: its text or its SHA-256.
type Key struct {
	Secret  string `json:"secret,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Name    string `json:"name,omitempty"`
	Member  string `json:"member,omitempty"`
	Expires string `json:"expires,omitempty"` // a day, or an instant
}

// Line is a line of a list. With problems, the account is not to be used.
type Line struct {
	Number   int
	Account  Account
	Problems []string
}

// Reader reads a list, line by line; io.EOF is its end.
type Reader interface {
	Next() (Line, error)
}

// maxLine bounds a line of JSON.
const maxLine = 1 << 20

type jsonLines struct {
	r    *bufio.Reader
	line int
}

// JSONLines reads one account per line, each as a JSON object.
func JSONLines(r io.Reader) Reader { return &jsonLines{r: bufio.NewReaderSize(r, 64<<10)} }

// Next implements Reader.
func (j *jsonLines) Next() (Line, error) {
	for {
		raw, err := j.read()
		if err != nil {
			return Line{}, err
		}
		j.line++
		if raw = bytes.TrimSpace(raw); len(raw) == 0 {
			continue
		}
		l := Line{Number: j.line}
		if len(raw) > maxLine {
			l.Problems = []string{"the line is longer than 1 MB; an account has one line"}
			return l, nil
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err = d.Decode(&l.Account); err == nil {
			if _, more := d.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("text follows the object")
			}
		}
		if err != nil {
			l.Problems = []string{jsonProblem(err)}
		}
		return l, nil
	}
}

// read is the next line. Of one that is too long only the beginning is kept.
func (j *jsonLines) read() (line []byte, err error) {
	for {
		part, err := j.r.ReadSlice('\n')
		if len(line) <= maxLine {
			line = append(line, part...)
		}
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// jsonProblem is an error of the decoder, in words. It must not repeat values: they
// may be API keys.
func jsonProblem(err error) string {
	var wrong *json.UnmarshalTypeError
	text := strings.TrimPrefix(err.Error(), "json: ")
	switch {
	case errors.As(err, &wrong):
		return "the field " + wrong.Field + " is a " + wrong.Value + "; write a " + kindOf(wrong.Type) + amountHint(wrong.Field)
	case strings.HasPrefix(text, "unknown field"):
		return text + `; an account has id, name, email, plan, renews_at, suspended, balances [{type, amount, expires}], members [{id, name, email, role}], keys [{secret or sha256, name, member, expires}] and labels {name: value}`
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
		return `this is not JSON; write one object per line, such as {"id": "acme", "plan": "pro"}`
	}
	return text
}

func kindOf(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // an Account has no others
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "list"
	case reflect.Struct:
		return "object"
	}
	return "text"
}

func amountHint(field string) string {
	if strings.HasSuffix(field, "amount") {
		return ` in quotes, such as "250"`
	}
	return ""
}
