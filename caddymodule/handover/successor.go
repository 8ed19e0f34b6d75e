// Package handover replaces a running gateway by another process of the same machine,
// such as one of a newer version. The old process starts its successor and gives it the
// ledger. It then shares the ledger with it, through sockets that the successor
// inherited, until its last request has ended. No request is refused meanwhile: both
// listen on the same ports, and those that need the ledger wait while it changes hands.
package handover

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sessions is how many updates and views of the ledger the old process can have at a
// time.
const sessions = 4

// variable tells a process that it is a successor: the number of its first socket.
const variable = "FAREBOX_SUCCEEDS"

// firstSocket is that number: the next ones are standard input, output and error.
const firstSocket = 3

// step is a message between the two.
type step struct {
	Kind string
	Text string
}

// Kinds of steps, in order.
const (
	take    = "take"    // give me the ledger at this address
	given   = "given"   // it is closed here
	refused = "refused" // it is not, because of this
	opened  = "opened"  // I have opened it
	serving = "serving" // I serve requests
)

type control struct {
	net.Conn
	in  *gob.Decoder
	out *gob.Encoder
}

func newControl(c net.Conn) *control { return &control{c, gob.NewDecoder(c), gob.NewEncoder(c)} }

func (c *control) next(by time.Time) (s step, err error) {
	if err = c.SetReadDeadline(by); err == nil {
		err = c.in.Decode(&s)
	}
	return s, err
}

// Successor is the new process, as the old one sees it.
type Successor struct {
	PID      int
	Sessions []net.Conn // the ledger, once it was given
	control  *control
	cmd      *exec.Cmd
	exited   chan struct{}
	began    time.Time     // when the ledger was closed here
	closed   time.Duration // until the successor had it open
}

// program is this process's binary, as it was started: through the same links.
var program, errProgram = exec.LookPath(os.Args[0])

// Start starts a successor with the arguments of this process.
func Start() (*Successor, error) {
	if errProgram != nil {
		return nil, fmt.Errorf("finding the binary: %w", errProgram)
	}
	args, err := arguments(os.Args[1:])
	if err != nil {
		return nil, err
	}
	s := &Successor{cmd: exec.Command(program, args...), exited: make(chan struct{})} //nolint:gosec // this very program
	s.cmd.Stdout, s.cmd.Stderr = os.Stdout, os.Stderr
	s.cmd.Env = append(os.Environ(), variable+"="+strconv.Itoa(firstSocket))
	for i := range 1 + sessions {
		ours, theirs, err := pair()
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		defer theirs.Close() //nolint:errcheck // the successor has it
		s.cmd.ExtraFiles = append(s.cmd.ExtraFiles, theirs)
		if i == 0 {
			s.control = newControl(ours)
		} else {
			s.Sessions = append(s.Sessions, ours)
		}
	}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", program, err), s.Close())
	}
	s.PID = s.cmd.Process.Pid
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	return s, nil
}

// arguments are those of a successor. A parent that waits for this process to start, as
// that of `farebox start`, does not wait for the successor.
func arguments(args []string) ([]string, error) {
	if len(args) == 0 || args[0] != "run" {
		return nil, fmt.Errorf("only a gateway that was started by `farebox run` can be replaced; this one was started by: farebox %s", strings.Join(args, " "))
	}
	args = slices.Clone(args)
	for i, a := range args {
		switch {
		case a == "--pingback" && i+1 < len(args):
			return slices.Delete(args, i, i+2), nil
		case strings.HasPrefix(a, "--pingback="):
			return slices.Delete(args, i, i+1), nil
		}
	}
	return args, nil
}

// Await answers the successor until it serves requests. give gives the ledger away; its
// error is the successor's. After an error, the successor has ended, and gave says
// whether the ledger was given before.
func (s *Successor) Await(ctx context.Context, give func(address string) error) (gave bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = s.control.SetReadDeadline(time.Now()) })
	defer stop()
	var no error
	for {
		by, _ := ctx.Deadline()
		m, err := s.control.next(by)
		switch {
		case err != nil:
			return gave, errors.Join(no, s.abort(err))
		case m.Kind == serving:
			return gave, nil
		case m.Kind == opened:
			if !s.began.IsZero() {
				s.closed = time.Since(s.began)
			}
		case m.Kind == take:
			answer := step{Kind: given}
			if no = give(m.Text); no != nil {
				answer = step{Kind: refused, Text: no.Error()}
			} else {
				gave = true
			}
			if err := s.control.out.Encode(answer); err != nil {
				return gave, s.abort(err)
			}
		}
	}
}

// abort ends a successor that does not come up, because of what its socket says.
func (s *Successor) abort(why error) error {
	err := errors.New("the new process ended before it served requests; its log says why")
	if errors.Is(why, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the new process did not serve requests in time: %w", context.DeadlineExceeded)
	}
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.exited
	return err
}

// failed reports whether a successor that has ended did so by itself, instead of being
// stopped.
func (s *Successor) failed() bool { return s.cmd.ProcessState == nil || !s.cmd.ProcessState.Success() }

// Exited is closed when the successor has ended.
func (s *Successor) Exited() <-chan struct{} { return s.exited }

// Close closes the sockets.
func (s *Successor) Close() error {
	var err error
	if s.control != nil {
		err = s.control.Close()
	}
	for _, c := range s.Sessions {
		err = errors.Join(err, c.Close())
	}
	return err
}
