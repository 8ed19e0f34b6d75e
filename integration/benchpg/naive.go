package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/farebox-dev/farebox/meter/ulid"
)

// naive takes a lock, checks, writes and commits for each operation. It keeps far less
// than a ledger: a balance, and a line for each operation.
type naive struct{ pool *pgxpool.Pool }

func openNaive(dsn string) (gateway, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = clients
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	return &naive{pool}, err
}

func prepareNaive(ctx context.Context, dsn string, many int) error {
	g, err := openNaive(dsn[:len(dsn)-len("&schema=naive")])
	if err != nil {
		return err
	}
	defer g.close()
	_, err = g.(*naive).pool.Exec(ctx, fmt.Sprintf(`CREATE TABLE balances (account text PRIMARY KEY, available bigint NOT NULL, held bigint NOT NULL);
		CREATE TABLE entries (id text, account text NOT NULL, amount bigint NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (account, id));
		INSERT INTO balances SELECT 'account-' || lpad(n::text, 6, '0'), %d, 0 FROM generate_series(0, %d) AS n`, credits, many)) //nolint:forcetypeassert // it was opened just now
	return err
}

func (g *naive) close() { g.pool.Close() }

func (g *naive) pair(ctx context.Context, account string) (reserve, settle time.Duration, err error) {
	id := ulid.New("ch_", time.Now())
	began := time.Now()
	if err := g.book(ctx, account, id+"h", 10, 10); err != nil {
		return 0, 0, err
	}
	reserve = time.Since(began)
	began = time.Now()
	err = g.book(ctx, account, id+"s", -3, -10)
	return reserve, time.Since(began), err
}

func (g *naive) book(ctx context.Context, account, id string, take, held int64) error {
	return pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) error {
		var available int64
		if err := tx.QueryRow(ctx, "SELECT available FROM balances WHERE account = $1 FOR UPDATE", account).Scan(&available); err != nil {
			return err
		}
		if available < take {
			return fmt.Errorf("account %s has %d left", account, available)
		}
		if _, err := tx.Exec(ctx, "UPDATE balances SET available = available - $2, held = held + $3 WHERE account = $1", account, take, held); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO entries (id, account, amount) VALUES ($1, $2, $3)", id, account, take)
		return err
	})
}

// delayed is a port through which the database answers later: each packet waits half of
// the delay in either direction.
func delayed(port int, delay time.Duration) (through int, stop func(), err error) {
	if delay == 0 {
		return port, func() {}, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return 0, nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go connect(c, fmt.Sprintf("127.0.0.1:%d", port), delay/2)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, func() { _ = l.Close() }, nil //nolint:forcetypeassert // of TCP
}

func connect(c net.Conn, to string, delay time.Duration) {
	defer c.Close() //nolint:errcheck // at its end
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close() //nolint:errcheck // at its end
	var both sync.WaitGroup
	both.Go(func() { later(s, c, delay); _ = s.Close() })
	both.Go(func() { later(c, s, delay); _ = c.Close() })
	both.Wait()
}

type packet struct {
	due  time.Time
	text []byte
}

// later copies what it reads, each part some time later.
func later(to io.Writer, from io.Reader, delay time.Duration) {
	packets := make(chan packet, 1024)
	go func() {
		defer close(packets)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if n > 0 {
				packets <- packet{time.Now().Add(delay), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range packets {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.text); err != nil {
			return
		}
	}
}
