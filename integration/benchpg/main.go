// Command benchpg measures gateways that share a ledger in PostgreSQL: holds and settles a
// second, and how long each takes. A transaction for each operation, as programs have it
// that do not batch, is measured in the same run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/internal/pgtest"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store/postgres"
	"github.com/farebox-dev/farebox/meter/ulid"
	"github.com/farebox-dev/farebox/meter/writer"
)

const clients = 64 // of each gateway

func main() {
	seconds := flag.Int("seconds", 8, "how long each measurement takes")
	many := flag.Int("accounts", 100_000, "how many accounts there are where there are many")
	flag.Parse()
	if err := measure(time.Duration(*seconds)*time.Second, *many); err != nil {
		log.Fatal(err)
	}
}

// row is one measurement.
type row struct {
	name     string
	gateways int
	delay    time.Duration // to the database and back
	accounts int
	open     func(dsn string) (gateway, error)
}

// gateway runs one pair of operations: a hold and its settle.
type gateway interface {
	pair(ctx context.Context, account string) (reserve, settle time.Duration, err error)
	close()
}

func measure(within time.Duration, many int) error {
	server, err := pgtest.New("max_connections=400", "shared_buffers=256MB", "max_wal_size=4GB")
	if err != nil {
		return err
	}
	defer server.Close()
	ctx := context.Background()
	if err := prepare(ctx, server.DSN("farebox"), many); err != nil {
		return err
	}
	if err := prepareNaive(ctx, server.DSN("naive"), many); err != nil {
		return err
	}
	fmt.Println("synchronous_commit on, 64 clients for each gateway; an operation is a hold or a settle")
	fmt.Printf("%-38s %9s %8s %9s | %12s %9s %9s %9s\n", "", "gateways", "delay", "accounts", "operations/s", "p50", "p99", "errors")
	for _, r := range []row{
		{"one transaction for each operation", 1, 0, 1, openNaive},
		{"farebox", 1, 0, 1, openWriter},
		{"one transaction for each operation", 3, time.Millisecond, 1, openNaive},
		{"farebox", 3, time.Millisecond, 1, openWriter},
		{"one transaction for each operation", 1, 0, many, openNaive},
		{"farebox", 1, 0, many, openWriter},
		{"one transaction for each operation", 3, time.Millisecond, many, openNaive},
		{"farebox", 3, time.Millisecond, many, openWriter},
	} {
		if err := r.run(ctx, server, within); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return verify(ctx, server.DSN("farebox"))
}

// run opens the gateways and lets all clients work.
func (r *row) run(ctx context.Context, server *pgtest.Server, within time.Duration) error {
	var gateways []gateway
	for range r.gateways {
		through, stop, err := delayed(server.Port, r.delay)
		if err != nil {
			return err
		}
		defer stop()
		g, err := r.open(fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", through))
		if err != nil {
			return err
		}
		defer g.close()
		gateways = append(gateways, g)
	}
	var mu sync.Mutex
	var took []time.Duration
	failed := 0
	end := time.Now().Add(within)
	var all sync.WaitGroup
	for i := range r.gateways * clients {
		all.Go(func() {
			var own []time.Duration
			bad := 0
			for n := i; time.Now().Before(end); n += 7919 {
				a, b, err := gateways[i%r.gateways].pair(ctx, accountName(n%r.accounts))
				if err != nil {
					bad++
					continue
				}
				own = append(own, a, b)
			}
			mu.Lock()
			took, failed = append(took, own...), failed+bad
			mu.Unlock()
		})
	}
	all.Wait()
	slices.Sort(took)
	if len(took) == 0 {
		return errors.New("nothing succeeded")
	}
	fmt.Printf("%-38s %9d %8s %9d | %12.0f %9s %9s %9d\n", r.name, r.gateways, r.delay, r.accounts, float64(len(took))/within.Seconds(),
		took[len(took)/2].Round(100*time.Microsecond), took[len(took)*99/100].Round(100*time.Microsecond), failed)
	return nil
}

func accountName(n int) string { return fmt.Sprintf("account-%06d", n) }

// shared is a gateway as Farebox has it.
type shared struct {
	store  *postgres.Store
	writer *writer.Writer
}

var terms = &ledger.Terms{Zone: time.UTC, Plans: map[string]*ledger.Plan{}}

func openWriter(dsn string) (gateway, error) {
	s, err := postgres.Open(context.Background(), postgres.Options{DSN: dsn + "&schema=farebox", Create: true})
	if err != nil {
		return nil, err
	}
	w, err := writer.Open(context.Background(), s, writer.Options{Now: time.Now, Terms: terms})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &shared{s, w}, nil
}

func (g *shared) close() {
	g.writer.Close()
	_ = g.store.Close()
}

func (g *shared) pair(ctx context.Context, account string) (reserve, settle time.Duration, err error) {
	id := ledger.ChargeID(ulid.New(ledger.ChargePrefix, time.Now()))
	began := time.Now()
	_, err = g.writer.Do(ctx, ledger.AccountID(account), ledger.Reserve{Charge: &ledger.Charge{ID: id, Operation: "chat", Model: "m"}, Amount: 10, Plan: ledger.AnyPlan, Fresh: true})
	if err != nil {
		return 0, 0, err
	}
	reserve = time.Since(began)
	began = time.Now()
	_, err = g.writer.Do(ctx, ledger.AccountID(account), ledger.Settle{Charge: id, Cost: 7})
	return reserve, time.Since(began), err
}

// credits are enough for every measurement.
const credits money.Amount = 1_000_000_000_000

// prepare opens the accounts.
func prepare(ctx context.Context, dsn string, many int) error {
	g, err := openWriter(dsn[:len(dsn)-len("&schema=farebox")])
	if err != nil {
		return err
	}
	defer g.close()
	w := g.(*shared).writer //nolint:forcetypeassert // it was opened just now
	var all sync.WaitGroup
	failed := make(chan error, 256)
	for i := range 256 {
		all.Go(func() {
			for n := i; n < many; n += 256 {
				id := ledger.AccountID(accountName(n))
				c := ledger.Import{Open: ledger.Open{ID: id}, Balances: []ledger.Give{{Grant: ledger.GrantID("gr_" + accountName(n)), Amount: credits, Type: "bench"}}}
				if _, err := w.Do(ctx, id, c); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// verify says whether the books are right after all of it.
func verify(ctx context.Context, dsn string) error {
	s, err := postgres.Open(ctx, postgres.Options{DSN: dsn})
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // only read from
	r, err := writer.Verify(ctx, s)
	if err != nil {
		return err
	}
	fmt.Printf("verify: %d accounts, %d charges, %d open holds, %d problems\n", r.Accounts, r.Charges, r.Holds, len(r.Problems))
	if !r.Clean() {
		fmt.Fprintln(os.Stderr, r.Problems[0])
		return errors.New("the ledger does not verify")
	}
	return nil
}
