//go:build linux

// Command bench measures what metering costs, as ratios within one run:
//
//   - plain: the binary as a reverse_proxy and nothing else,
//   - limit: plain with the least that makes a hold and a settle durable, see
//     integration/bench/limit; nothing that keeps this promise is faster,
//   - durable: `meter` as it is by default,
//   - overlap: `meter` with `hold overlap`,
//   - before: durable, with the binary that -before names,
//   - transaction: the usual way to charge durably, a synced transaction for each
//     hold and settle; see integration/bench/limit,
//   - one-api, one-api-batch: a gateway of others, see oneapi.go.
//
// All gateways run at the same time in front of one mock upstream. They take
// turns under the same load, and the medians are printed, as Markdown. CPU time
// per request is the steadier figure on a shared machine.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
	"strings"
	"time"
)

var (
	seconds  = flag.Duration("time", 3*time.Second, "how long a turn takes")
	rounds   = flag.Int("rounds", 3, "turns of each gateway in each row, after one to warm up; the medians are printed")
	only     = flag.String("only", "", "rows to measure, a regular expression: "+strings.Join(rowNames(), ", "))
	names    = flag.String("gateways", "plain,limit,durable,overlap", "gateways to measure")
	binary   = flag.String("farebox", "bin/farebox", "binary to measure")
	before   = flag.String("before", "", "binary of the gateway \"before\", which is durable by another build")
	profiles = flag.String("profiles", "", "directory for CPU profiles of the gateways, one for each row")
	oneAPIDB = flag.String("one-api-db", "", "SQL_DSN of one-api, such as postgres://…; without it, SQLite")
	accounts = flag.Int("accounts", 10_000, "accounts of the rows with many")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() (err error) {
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "farebox-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	b, err := newBench(dir, strings.Split(*names, ","))
	if err != nil {
		return err
	}
	defer b.stop()
	found := results{}
	for _, r := range rows() {
		if !wanted.MatchString(r.name) {
			continue
		}
		if found[r.name], err = b.compare(r); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		b.print(os.Stdout, r, found[r.name])
	}
	if len(found) == 0 {
		return errors.New("-only matches no row")
	}
	sync, err := syncTime(dir)
	if err != nil {
		return err
	}
	b.printAims(os.Stdout, found, sync)
	return nil
}
