// Command scale measures a gateway with many accounts and a year of charges: how
// fast it starts after a kill, how much memory it takes, how long its pages take,
// how much disk a charge needs, and how fast verify is.
//
// It first plays the year, through the gateway's own code under a clock that
// runs through it, into a data directory; then it runs the binary on that. With
// -dir the directory is kept, and used again the next time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"text/tabwriter"
	"time"
)

var (
	accounts = flag.Int("accounts", 1_000_000, "accounts")
	charges  = flag.Int("charges", 10_000_000, "charges of all accounts together; the first account has a hundredth of them")
	dir      = flag.String("dir", "", "directory for the data and the log; kept, and used again if it is complete; default a temporary one")
	binary   = flag.String("farebox", "bin/farebox", "binary to measure")
	clients  = flag.Int("clients", 64, "connections of the load")
	seconds  = flag.Duration("time", 10*time.Second, "how long the load takes")
	profiles = flag.String("profiles", "", "directory for CPU and heap profiles of the gateway")
	only     = flag.String("only", "", "disk: measure only what the directory takes, after a compaction")
	rounds   = flag.Int("rounds", 3, "kills under load; the slowest start is printed")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	home := *dir
	if home == "" {
		made, err := os.MkdirTemp("", "farebox-scale-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made) //nolint:errcheck // a temporary directory
		home = made
	}
	keys, err := data(ctx, home)
	if err != nil {
		return err
	}
	m, err := newMeasurement(home, keys)
	if err != nil {
		return err
	}
	defer m.stop()
	if err := m.run(ctx); err != nil {
		said := m.log.Bytes()
		return fmt.Errorf("%w\n%s", err, said[max(0, len(said)-4000):])
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "%d ACCOUNTS, %d CHARGES\tMEASURED\tAIM\n", *accounts, *charges)
	for _, f := range m.figures {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.name, f.value, f.aim)
	}
	return w.Flush()
}

// data makes the data directory, unless a complete one of this size is there.
func data(ctx context.Context, home string) (keys []string, err error) {
	size := fmt.Sprintf("%d accounts, %d charges", *accounts, *charges)
	done := filepath.Join(home, "complete")
	have, err := os.ReadFile(done) //nolint:gosec // a directory of the user's choice
	switch {
	case err == nil && string(have) == size:
		return readKeys(home)
	case err == nil:
		return nil, fmt.Errorf("%s has %s; choose another directory", home, have)
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(home, "ledger")); err == nil {
		return nil, fmt.Errorf("the data in %s is not complete; remove it", home)
	}
	began := time.Now()
	if *profiles != "" {
		f, err := os.Create(filepath.Join(*profiles, "generate-cpu.pprof"))
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // a profile
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
	}
	usual := debug.SetGCPercent(400) // the players make garbage only
	err = generate(ctx, home)
	debug.SetGCPercent(usual)
	pprof.StopCPUProfile()
	if err != nil {
		return nil, err
	}
	log.Printf("generated %s in %s: %.1f GB", size, time.Since(began).Round(time.Second), float64(diskOf(home, ""))/1e9)
	if err := os.WriteFile(done, []byte(size), 0o600); err != nil {
		return nil, err
	}
	return readKeys(home)
}
