// Command bench measures what metering costs: the same binary, once as a plain
// reverse_proxy and once with `meter` in front of it (every hold durable before
// the request goes upstream), under the same load in the same run.
//
// It prints throughput, latency and CPU time per request of both, and their
// ratios. CPU time per request is the steadier figure on a shared machine.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"text/tabwriter"
	"time"
)

var (
	seconds  = flag.Duration("time", 3*time.Second, "how long each measurement of a round takes")
	rounds   = flag.Int("rounds", 3, "rounds; plain and metered take turns, the medians are printed")
	binary   = flag.String("farebox", "bin/farebox", "binary to measure")
	profiles = flag.String("profiles", "", "directory for CPU profiles of the metered gateway, one for each line of the table")
	accounts = flag.Int("accounts", 10_000, "accounts of the cases with many of them")
)

// scenario is one line of the table.
type scenario struct {
	latency  time.Duration
	clients  int
	accounts int
}

func main() {
	log.SetFlags(0)
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "farebox-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "UPSTREAM\tCLIENTS\tACCOUNTS\tPLAIN req/s\tp50\tp99\tCPU µs\tMETER req/s\tp50\tp99\tCPU µs\tTHROUGHPUT\tCPU\t")
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		b, err := newBench(dir, latency)
		if err != nil {
			return err
		}
		for _, s := range []scenario{{latency, 1, 1}, {latency, 64, 1}, {latency, 64, *accounts}} {
			plain, metered, err := b.compare(s)
			if err != nil {
				b.stop()
				return err
			}
			fmt.Fprintf(w, "%v\t%d\t%d\t%s\t%s\t%.2f×\t%.2f×\t\n", s.latency, s.clients, s.accounts, plain, metered,
				metered.rate/plain.rate, metered.cpu/plain.cpu)
			_ = w.Flush()
		}
		b.stop()
	}
	return nil
}
