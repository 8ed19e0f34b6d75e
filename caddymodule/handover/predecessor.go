package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/remote"
)

// Predecessor is the old process, as its successor sees it.
type Predecessor struct {
	control  *control
	sessions []net.Conn
	once     sync.Once
	took     bool
}

// Inherited is the process that this one succeeds; nil if it is the first.
var Inherited = sync.OnceValue(func() *Predecessor {
	first, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		return nil
	}
	_ = os.Unsetenv(variable) // it is not for processes that this one starts
	p := &Predecessor{}
	for i := range 1 + sessions {
		c, err := inherit(first + i)
		if err != nil {
			return nil
		}
		if i == 0 {
			p.control = newControl(c)
		} else {
			p.sessions = append(p.sessions, c)
		}
	}
	return p
})

// giveWithin bounds how long the old process may take to close the ledger.
const giveWithin = 30 * time.Second

// Take asks the old process to close the ledger. When it returns, the ledger can be
// opened here; requests of the old process wait until Serve. It asks once, and reports
// whether it was the first time.
func (p *Predecessor) Take(address string) (first bool, err error) {
	if p.took {
		return false, nil
	}
	p.took = true
	if err := p.control.out.Encode(step{Kind: take, Text: address}); err != nil {
		return true, fmt.Errorf("asking the running process for the ledger: %w", err)
	}
	s, err := p.control.next(time.Now().Add(giveWithin))
	switch {
	case err != nil:
		return true, fmt.Errorf("waiting for the running process to close the ledger: %w", err)
	case s.Kind == refused:
		return true, errors.New(s.Text)
	}
	return true, nil
}

// Serve shares the ledger with the old process, and calls ended when that has ended. s is
// nil if the old process needs no ledger from here.
func (p *Predecessor) Serve(ctx context.Context, s store.Shared, ended func()) {
	_ = p.control.out.Encode(step{Kind: opened}) // it only measures the time
	var all sync.WaitGroup
	for _, c := range p.sessions {
		all.Go(func() {
			if s == nil {
				_, _ = io.Copy(io.Discard, c)
				return
			}
			_ = remote.Serve(ctx, c, s) // the old process reports what it could not write
		})
	}
	go func() {
		all.Wait()
		ended()
	}()
}

// Serving tells the old process that this one serves requests.
func (p *Predecessor) Serving() {
	p.once.Do(func() { _ = p.control.out.Encode(step{Kind: serving}) }) // an old process that has ended need not know
}
