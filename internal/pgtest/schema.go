package pgtest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shared is the server that the tests of a process share.
var shared struct {
	once   sync.Once
	server *Server
	err    error
	count  atomic.Int64
}

// Main runs the tests of a package, and ends the server that they shared.
func Main(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		shared.server.Close()
	}
	os.Exit(code)
}

// DSN names a schema that was never used: on the server of FAREBOX_TEST_POSTGRES,
// or else on one that the tests of this process share. Its package has to call Main.
func DSN(tb testing.TB) string {
	tb.Helper()
	schema := fmt.Sprintf("test_%d_%d", time.Now().UnixNano(), shared.count.Add(1))
	if dsn := os.Getenv("FAREBOX_TEST_POSTGRES"); dsn != "" {
		if strings.Contains(dsn, "?") {
			return dsn + "&schema=" + schema
		}
		return dsn + "?schema=" + schema
	}
	shared.once.Do(func() { shared.server, shared.err = New("fsync=off", "max_connections=200") })
	if errors.Is(shared.err, ErrNone) {
		tb.Skip(shared.err)
	}
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.server.DSN(schema)
}
