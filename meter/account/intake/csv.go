package intake

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// columns are those of a CSV file, besides those of balances and labels.
var columns = []string{"id", "name", "email", "plan", "renews_at", "suspended", "members", "keys", "key_sha256"}

const columnHelp = "the columns are id, name, email, plan, renews_at, suspended, members, keys, key_sha256, and for credits of a type balance:TYPE and expires:TYPE, such as balance:top_up, and for labels label:NAME"

type table struct {
	r      *csv.Reader
	header []string
}

// CSV reads a table with one account per row. The first row names the columns. The
// error says what is wrong with that row.
func CSV(r io.Reader) (Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	if bom, _ := b.Peek(3); string(bom) == "\ufeff" {
		_, _ = b.Discard(3)
	}
	first, _ := b.Peek(4 << 10)
	line, _, _ := strings.Cut(string(first), "\n")
	t := &table{r: csv.NewReader(b)}
	if strings.Count(line, ";") > strings.Count(line, ",") { // as spreadsheets in many countries write it
		t.r.Comma = ';'
	}
	t.r.FieldsPerRecord = -1
	t.r.ReuseRecord = true
	row, err := t.r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty; its first row names the columns, such as id,name,plan,balance:top_up")
	}
	if err != nil {
		return nil, fmt.Errorf("the first row: %w", err)
	}
	for _, name := range row {
		t.header = append(t.header, strings.ToLower(strings.TrimSpace(name)))
	}
	return t, t.checkHeader()
}

func (t *table) checkHeader() error {
	for i, name := range t.header {
		kind, of, typed := strings.Cut(name, ":")
		balance := (kind == "balance" || kind == "expires") && (!typed || of != "")
		if !balance && (kind != "label" || of == "") && !slices.Contains(columns, name) {
			return fmt.Errorf("there is no column %q; %s", name, columnHelp)
		}
		if slices.Index(t.header, name) < i {
			return fmt.Errorf("the column %q is there twice", name)
		}
		if kind == "expires" && !slices.Contains(t.header, strings.Replace(name, "expires", "balance", 1)) {
			return fmt.Errorf("the column %q needs a column %q", name, strings.Replace(name, "expires", "balance", 1))
		}
	}
	if !slices.Contains(t.header, "id") {
		return fmt.Errorf("there is no column id; %s", columnHelp)
	}
	return nil
}

// Next implements Reader.
func (t *table) Next() (Line, error) {
	row, err := t.r.Read()
	if err != nil {
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			return Line{Number: bad.StartLine, Problems: []string{fmt.Sprintf(`%v; a field with a comma, a quote or a line break is written "in quotes", and a quote in it twice`, bad.Err)}}, nil
		}
		return Line{}, err
	}
	l := Line{}
	l.Number, _ = t.r.FieldPos(0)
	if len(row) != len(t.header) {
		l.Problems = []string{fmt.Sprintf("the row has %d fields, the first row names %d; a field with a comma is written \"in quotes\"", len(row), len(t.header))}
		return l, nil
	}
	for i, name := range t.header {
		if value := strings.Clone(strings.TrimSpace(row[i])); value != "" {
			if problem := t.set(&l.Account, name, value, row); problem != "" {
				l.Problems = append(l.Problems, problem)
			}
		}
	}
	return l, nil
}

// set puts a field of a row into an account.
func (t *table) set(a *Account, column, value string, row []string) (problem string) {
	switch column {
	case "id":
		a.ID = value
	case "name":
		a.Name = value
	case "email":
		a.Email = value
	case "plan":
		a.Plan = value
	case "renews_at":
		a.RenewsAt = value
	case "suspended":
		yes, known := map[string]bool{"true": true, "yes": true, "1": true, "false": false, "no": false, "0": false}[strings.ToLower(value)]
		if !known {
			return fmt.Sprintf("suspended is %q; write true or false", value)
		}
		a.Suspended = yes
	case "members":
		return a.addMembers(value)
	case "keys":
		for _, secret := range strings.Fields(value) {
			a.Keys = append(a.Keys, Key{Secret: secret})
		}
	case "key_sha256":
		for _, hash := range strings.Fields(value) {
			a.Keys = append(a.Keys, Key{SHA256: hash})
		}
	default:
		kind, of, _ := strings.Cut(column, ":")
		switch kind {
		case "expires": // read with its balance
			return ""
		case "label":
			if a.Labels == nil {
				a.Labels = map[string]string{}
			}
			a.Labels[of] = value
			return ""
		}
		b := Balance{Type: of, Amount: value}
		if i := slices.Index(t.header, strings.Replace(column, "balance", "expires", 1)); i >= 0 {
			b.Expires = strings.Clone(strings.TrimSpace(row[i]))
		}
		if strings.Trim(value, "0.") != "" {
			a.Balances = append(a.Balances, b)
		}
	}
	return ""
}

// addMembers reads "mira@example.com admin; ci viewer".
func (a *Account) addMembers(text string) (problem string) {
	for part := range strings.SplitSeq(text, ";") {
		words := strings.Fields(part)
		switch len(words) {
		case 0:
			continue
		case 1:
			words = append(words, "member")
		case 2:
		default:
			return fmt.Sprintf("members: %q is not a member and a role; write them as \"mira@example.com admin; ci viewer\"", strings.TrimSpace(part))
		}
		m := Member{ID: words[0], Role: words[1]}
		if strings.Contains(m.ID, "@") {
			m.Email = m.ID
		}
		a.Members = append(a.Members, m)
	}
	return ""
}
