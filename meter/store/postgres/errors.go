package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/farebox-dev/farebox/meter/store"
)

// passing are the errors of a server that pass: the same update can be sent again.
var passing = []string{
	"25006", // read only: a standby, or a disk that is full
	"25P03", // the transaction was idle for too long
	"25P04", // the transaction took too long
	"40001", // serialization failure
	"40P01", // deadlock
	"53000", // insufficient resources
	"53100", // disk full
	"53200", // out of memory
	"53300", // too many connections
	"55P03", // the lock was not had in time
	"57014", // the statement took too long
	"57P01", // the server is shutting down
	"57P02",
	"57P03", // it is starting
	"57P04",
	"58030", // input or output error
}

// explain says of an error which database it was, and makes it store.ErrAgain if the
// same can be sent again.
func (s *Store) explain(err error) error {
	if err == nil || errors.Is(err, store.ErrAgain) {
		return err
	}
	if passes(err) {
		return fmt.Errorf("%w: %s: %w", store.ErrAgain, s.place, err)
	}
	return fmt.Errorf("%s: %w", s.place, err)
}

func passes(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return slices.Contains(passing, refused.Code) || strings.HasPrefix(refused.Code, "08")
	}
	var dial *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &dial) || errors.As(err, &network) || pgconn.Timeout(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
}
