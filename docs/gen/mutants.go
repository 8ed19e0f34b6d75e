package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/farebox-dev/farebox/internal/mutants"
)

// mutantsHeading begins the part of docs/guarantees.md that is generated, to its end.
const mutantsHeading = "\n## Mutants\n"

const mutantsText = `
A test that cannot fail proves nothing. ` + "`make mutants`" + ` makes each of these %d mistakes in the code, one at a time, and runs the tests named: all of them fail. The mistakes are in ` + "`internal/mutants`" + `, as changes to the code.

`

// completeMutants writes the table of mutants anew.
func completeMutants(page []byte) ([]byte, error) {
	before, _, ok := bytes.Cut(page, []byte(mutantsHeading))
	if !ok {
		return nil, errors.New("docs/guarantees.md has no heading \"Mutants\"")
	}
	all, err := mutants.All()
	if err != nil {
		return nil, err
	}
	return append(before, []byte(mutantsHeading+fmt.Sprintf(mutantsText, len(all))+mutants.Page(all))...), nil
}
