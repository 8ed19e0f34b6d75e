//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAimsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range aims {
		if line := fmt.Sprintf("| %s | `%s` | %s |", a.what, a.row, a.required()); !strings.Contains(string(text), line) {
			t.Errorf("docs/guarantees.md has no line %q", line)
		}
		if !slices.Contains(rowNames(), a.row) {
			t.Errorf("%s: no row is called %s", a.what, a.row)
		}
	}
}

func TestAims(t *testing.T) {
	plain, limit := figures{rate: 1000, cpu: 100, p50: time.Millisecond, p99: 10 * time.Millisecond, allocations: 200}, figures{rate: 800, cpu: 150, p99: 20 * time.Millisecond}
	g := figures{rate: 760, cpu: 180, p50: 2 * time.Millisecond, p99: 30 * time.Millisecond, allocations: 280}
	sync := 300 * time.Microsecond
	for _, tt := range []struct {
		row, what string
		want      float64
		met       bool
	}{
		{"0ms-64-one", "0 ms: throughput ÷ limit's", 0.95, true},
		{"0ms-64-one", "0 ms: CPU ÷ limit's", 1.2, false},
		{"50ms-64-one", "50 ms: throughput ÷ plain's", 0.76, false},
		{"0ms-1-one", "1 client: p50 above plain's, without 2 syncs, in ms", 0.4, false},
		{"0ms-64-many", "0 ms: p99 ÷ limit's", 1.5, true},
		{"0ms-64-one", "allocations above plain's", 80, true},
	} {
		i := slices.IndexFunc(aims, func(a aim) bool { return a.row == tt.row && a.what == tt.what })
		if i < 0 {
			t.Errorf("no aim is called %s", tt.what)
			continue
		}
		if v := aims[i].value(g, plain, limit, sync); v < tt.want-1e-9 || v > tt.want+1e-9 || aims[i].met(v) != tt.met {
			t.Errorf("%s: %v, met: %v; want %v, %v", tt.what, v, aims[i].met(v), tt.want, tt.met)
		}
	}
}
