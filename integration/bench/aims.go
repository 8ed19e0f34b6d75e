//go:build linux

package main

import (
	"fmt"
	"io"
	"time"
)

// aim is what a metered gateway should reach.
type aim struct {
	what   string
	row    string
	bound  float64
	atMost bool // bound is the largest value that is good, not the smallest
	value  func(g, plain, limit figures, sync time.Duration) float64
}

func (a aim) met(v float64) bool {
	if a.atMost {
		return v <= a.bound
	}
	return v >= a.bound
}

func (a aim) required() string {
	if a.atMost {
		return fmt.Sprintf("≤ %.4g", a.bound)
	}
	return fmt.Sprintf("≥ %.4g", a.bound)
}

func rateToPlain(g, plain, _ figures, _ time.Duration) float64 { return g.rate / plain.rate }
func rateToLimit(g, _, limit figures, _ time.Duration) float64 { return g.rate / limit.rate }
func cpuToPlain(g, plain, _ figures, _ time.Duration) float64  { return g.cpu / plain.cpu }
func cpuToLimit(g, _, limit figures, _ time.Duration) float64  { return g.cpu / limit.cpu }

func p99ToLimit(g, _, limit figures, _ time.Duration) float64 {
	return float64(g.p99) / float64(limit.p99)
}

func allocations(g, plain, _ figures, _ time.Duration) float64 {
	return g.allocations - plain.allocations
}

func addedBeyondSyncs(g, plain, _ figures, sync time.Duration) float64 {
	return milliseconds(g.p50 - plain.p50 - 2*sync)
}

func addedFirstByte(g, plain, _ figures, _ time.Duration) float64 {
	return milliseconds(g.p50 - plain.p50)
}

var aims = []aim{
	{"0 ms: throughput ÷ limit's", "0ms-64-one", 0.95, false, rateToLimit},
	{"0 ms: throughput ÷ limit's", "0ms-64-many", 0.85, false, rateToLimit},
	{"0 ms: CPU ÷ limit's", "0ms-64-one", 1.15, true, cpuToLimit},
	{"0 ms: CPU ÷ limit's", "0ms-64-many", 1.3, true, cpuToLimit},
	{"50 ms: throughput ÷ plain's", "50ms-64-one", 0.96, false, rateToPlain},
	{"50 ms: throughput ÷ plain's", "50ms-64-many", 0.94, false, rateToPlain},
	{"1 client: p50 above plain's, without 2 syncs, in ms", "0ms-1-one", 0.3, true, addedBeyondSyncs},
	{"1 client: p50 above plain's, without 2 syncs, in ms", "0ms-1-many", 0.3, true, addedBeyondSyncs},
	{"0 ms: p99 ÷ limit's", "0ms-64-one", 1.5, true, p99ToLimit},
	{"0 ms: p99 ÷ limit's", "0ms-64-many", 2, true, p99ToLimit},
	{"allocations above plain's", "0ms-64-one", 90, true, allocations},
	{"allocations above plain's", "0ms-64-many", 110, true, allocations},
	{"64 streams: events/s ÷ plain's", "stream-64", 0.95, false, rateToPlain},
	{"64 streams: CPU ÷ plain's", "stream-64", 1.2, true, cpuToPlain},
	{"64 streams: first byte after plain's, in ms", "stream-64", 1, true, addedFirstByte},
	{"1 stream: first byte after plain's, in ms", "stream-1", 1, true, addedFirstByte},
	{"responses of 20 MB: bytes/s ÷ plain's", "download", 0.9, false, rateToPlain},
	{"bodies of 20 MB: bytes/s ÷ plain's", "upload", 0.9, false, rateToPlain},
	{"bodies of 20 MB of JSON: bytes/s ÷ plain's", "upload-json", 0.9, false, rateToPlain},
}

// printAims compares the metered gateways with what they should reach.
func (b *bench) printAims(w io.Writer, found results, sync time.Duration) {
	table := [][]string{{"Aim", "Row", "Required"}}
	var metered []string
	for _, g := range b.gateways {
		if g.ledger {
			metered, table[0] = append(metered, g.name), append(table[0], g.name)
		}
	}
	for _, a := range aims {
		row := found[a.row]
		if row["plain"].rate == 0 || row["limit"].rate == 0 {
			continue // there is nothing to compare with
		}
		line := []string{a.what, "`" + a.row + "`", a.required()}
		for _, name := range metered {
			v := a.value(row[name], row["plain"], row["limit"], sync)
			cell := fmt.Sprintf("%.*f", decimals(v), v)
			if !a.met(v) {
				cell += " (not met)"
			}
			line = append(line, cell)
		}
		table = append(table, line)
	}
	fmt.Fprintf(w, "\n### Aims (a sync of this disk: %s)\n\n", short(sync))
	printTable(w, table)
}
