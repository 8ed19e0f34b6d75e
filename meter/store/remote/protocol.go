// Package remote gives a process the store that another process of the machine has
// open. While a gateway is replaced by its successor, which opens the ledger, the
// requests that still run in the old process settle into the ledger in this way. The
// two share the store as they would share a database.
//
// A connection carries one update or view at a time, as messages of encoding/gob: one
// of begin, then reads and writes, then commit or leave. The other side answers begin,
// reads and commit.
package remote

import (
	"encoding/gob"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
)

// patience is how long one side waits for the other's next message while an update is
// open: it keeps all others out of the ledger. It is a variable for tests.
var patience = 5 * time.Second

// chunk is how many records of a scan are sent at once.
const chunk = 128

type verb uint8

const (
	beginUpdate verb = iota + 1
	beginView
	versions
	get
	scan
	scanBack
	put
	remove
	commit
	leave
)

// request is a message of the process without the store.
type request struct {
	Verb   verb
	Locks  []string // of beginUpdate
	ID     store.ID
	Only   bool   // of scan
	Behind bool   // of scan: without ID itself
	Value  []byte // of put
}

// response answers begin, versions, get, scan, scanBack and commit.
type response struct {
	Now      time.Time // of beginUpdate
	Versions map[store.Kind]uint64
	Records  []record // of get and the scans
	More     bool     // the scan goes on behind the last record
	Failure  *failure
}

type record struct {
	ID    store.ID
	Value []byte
}

// failure is an error of the store. Kind says which of its own it is.
type failure struct {
	Kind int
	Text string
}

// known are the errors that callers of a store look for. Their places are the kinds of
// failures, from 1 on.
var known = []error{store.ErrNotFound, store.ErrTooBig, store.ErrFull}

func failed(err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{Text: err.Error()}
	for i, k := range known {
		if errors.Is(err, k) {
			f.Kind = i + 1
		}
	}
	return f
}

func (f *failure) err() error {
	switch {
	case f == nil:
		return nil
	case f.Kind > 0 && f.Kind <= len(known):
		return fmt.Errorf("%w: %s", known[f.Kind-1], f.Text)
	}
	return errors.New(f.Text)
}

// conn is a connection with its encoding.
type conn struct {
	net.Conn
	in  *gob.Decoder
	out *gob.Encoder
}

func newConn(c net.Conn) *conn { return &conn{c, gob.NewDecoder(c), gob.NewEncoder(c)} }
