//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// print writes what a row found, with ratios to plain and to the limit.
func (b *bench) print(w io.Writer, r row, found map[string]figures) {
	fmt.Fprintf(w, "\n### %s (`%s`)\n\n", r.title, r.name)
	one := strings.TrimSuffix(r.unit, "s")
	table := [][]string{{"Gateway", r.unit + "/s", "÷ plain", "÷ limit", "p50 " + r.timed, "p99 " + r.timed, "CPU µs/" + one, "÷ plain", "÷ limit", "allocations/" + one, "peak MB"}}
	plain, limit := found["plain"], found["limit"]
	for _, g := range b.gateways {
		f, measured := found[g.name]
		if !measured {
			continue
		}
		table = append(table, []string{
			g.name, fmt.Sprintf("%.0f", f.rate), ratio(f.rate, plain.rate), ratio(f.rate, limit.rate), short(f.p50), short(f.p99),
			fmt.Sprintf("%.*f", decimals(f.cpu), f.cpu), ratio(f.cpu, plain.cpu), ratio(f.cpu, limit.cpu), allocated(f), fmt.Sprintf("%.0f", f.peak),
		})
	}
	printTable(w, table)
	for _, g := range b.gateways {
		if f, measured := found[g.name]; measured && g.booked != nil {
			fmt.Fprintf(w, "\n%s charged %.1f %% of the requests that it answered to the balance.\n", g.name, 100*f.booked)
		}
	}
}

// decimals are those that a small figure needs.
func decimals(v float64) int {
	if v < 20 {
		return 2
	}
	return 0
}

// allocated is empty for a gateway that does not report it.
func allocated(f figures) string {
	if f.allocations == 0 {
		return "–"
	}
	return fmt.Sprintf("%.*f", decimals(f.allocations), f.allocations)
}

func ratio(a, b float64) string {
	if b == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", a/b)
}

func short(d time.Duration) string { return fmt.Sprintf("%.2f ms", milliseconds(d)) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// printTable writes Markdown that is readable as text.
func printTable(w io.Writer, table [][]string) {
	width := make([]int, len(table[0]))
	for _, line := range table {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for n, line := range table {
		for i, cell := range line {
			fmt.Fprint(w, "| ", cell, strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+1))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for i := range line {
				fmt.Fprint(w, "|", strings.Repeat("-", width[i]+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}
