package cli

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
)

// The tables of several accounts are one: one header, whose each line is, and
// the same whatever pieces they come in.
func TestExportsOfSeveralAccountsAreJoined(t *testing.T) {
	tables := []struct{ account, csv, jsonl string }{
		{"acme", "id,name\r\nch_1,\"a \"\"pier\"\"\r\nat night\"\r\nch_2,b\r\n", "{\"a\":\"\\\"1\"}\n{\"a\":2}\n"},
		{"empty", "id,name\r\n", ""},
		{"beta", "id,name\r\nch_3,\"c,d\"", "{\"a\":3}"}, // without an end of line
	}
	for size := 1; size < 40; size++ {
		for _, format := range []string{"csv", "focus", "jsonl"} {
			for _, many := range []bool{true, false} {
				var out bytes.Buffer
				e := &export{format: format, many: many, w: &out}
				for i, x := range tables {
					text := x.csv
					if format == "jsonl" {
						text = x.jsonl
					}
					e.account, e.first = x.account, i == 0
					for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
						if n, err := e.Write(rest[:min(size, len(rest))]); err != nil || n != min(size, len(rest)) {
							t.Fatal(n, err)
						}
					}
					if err := e.end(); err != nil {
						t.Fatal(err)
					}
				}
				if format == "jsonl" {
					if want := "{\"a\":\"\\\"1\"}\n{\"a\":2}\n{\"a\":3}"; out.String() != want {
						t.Fatalf("%d at a time: %q", size, out.String())
					}
					continue
				}
				rows, err := csv.NewReader(&out).ReadAll()
				if err != nil {
					t.Fatalf("%s, %d at a time: %v", format, size, err)
				}
				var got []string
				for _, r := range rows {
					got = append(got, strings.Join(r, "|"))
				}
				want := "id|name;ch_1|a \"pier\"\nat night;ch_2|b;ch_3|c,d"
				if many && format == "csv" {
					want = "account|id|name;acme|ch_1|a \"pier\"\nat night;acme|ch_2|b;beta|ch_3|c,d"
				}
				if strings.Join(got, ";") != want {
					t.Fatalf("%s, %d at a time: %q", format, size, got)
				}
			}
		}
	}
}
