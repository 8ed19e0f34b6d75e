package postgres

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/farebox-dev/farebox/internal/pgtest"
	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/storetest"
)

// Behind a pooler that knows no prepared statements, each statement is sent with its text.
func TestStoreWithoutPreparedStatements(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, pgtest.DSN(t)+"&default_query_exec_mode=exec") })
	s := open(t, pgtest.DSN(t)+"&default_query_exec_mode=exec")
	a := &store.Ahead{Locks: []string{"a", store.Common}, Records: []store.ID{{Kind: store.Account, Account: "a"}}, Ranges: []store.ID{{Kind: store.Hold, Account: "a"}}}
	for range 2 {
		err := s.UpdateAhead(t.Context(), a, func(tx store.SharedTx) error {
			return tx.Put(store.ID{Kind: store.Key, Name: "k"}, []byte("v"))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Versions(t.Context()); err != nil || got[store.Key] != 2 {
		t.Errorf("versions %v, %v", got, err)
	}
	var prepared int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements").Scan(&prepared); err != nil || prepared != 0 {
		t.Errorf("%d statements are prepared, %v", prepared, err)
	}
}

// A PgBouncer that pools transactions gives each transaction another connection.
func TestStoreBehindPgBouncer(t *testing.T) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("there is no pgbouncer in the path")
	}
	server := pgtest.Start(t, "fsync=off")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of TCP
	_ = l.Close()
	config := filepath.Join(t.TempDir(), "pgbouncer.ini")
	text := fmt.Sprintf("[databases]\npostgres = host=127.0.0.1 port=%d user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 3\n", server.Port, port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil { //nolint:gosec // another user reads it
		t.Fatal(err)
	}
	cmd, log := exec.Command(program, config), &bytes.Buffer{}
	if os.Getuid() == 0 { // it does not run as root either
		server.AsItsUser(t, cmd, config)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	dsn := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&default_query_exec_mode=exec&schema=x", port)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgx.Connect(t.Context(), strings.TrimSuffix(dsn, "&schema=x"))
		if err == nil {
			_ = c.Close(t.Context())
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("pgbouncer does not answer: %v", err)
		}
	}
	n := 0
	storetest.Run(t, func(t *testing.T) store.Store {
		n++
		return open(t, fmt.Sprint(dsn, n))
	})
	countTogether(t, dsn)
}
