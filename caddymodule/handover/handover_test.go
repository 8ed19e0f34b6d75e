package handover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/memory"
	"github.com/farebox-dev/farebox/meter/store/remote"
)

// TestMain makes this binary a successor, too: what it does is in its environment.
func TestMain(m *testing.M) {
	if does := os.Getenv("FAREBOX_TEST_SUCCESSOR"); does != "" {
		if err := succeed(does); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// succeed takes a ledger that has one record, and serves it until the old process ends.
func succeed(does string) error {
	p := Inherited()
	if p == nil {
		return errors.New("there is no predecessor")
	}
	if _, err := p.Take("memory:" + does); err != nil {
		return err
	}
	switch does {
	case "fails":
		return errors.New("it cannot open the ledger")
	case "hangs":
		select {}
	}
	s := memory.New()
	if err := s.Update(context.Background(), nil, func(tx store.Tx) error { return tx.Put(here, []byte("new")) }); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.Serve(context.Background(), remote.Share(s, time.Now), func() { close(ended) })
	p.Serving()
	<-ended
	return nil
}

var here = store.ID{Kind: store.Meta, Name: "here"}

func start(t *testing.T, does string) *Successor {
	t.Helper()
	t.Setenv("FAREBOX_TEST_SUCCESSOR", does)
	defer func(args []string) { os.Args = args }(os.Args)
	os.Args = []string{os.Args[0], "run", "--config", "x"}
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		<-s.Exited()
	})
	return s
}

func TestTheLedgerIsHandedOver(t *testing.T) {
	s := start(t, "works")
	asked := ""
	gave, err := s.Await(t.Context(), func(address string) error { asked = address; return nil })
	if err != nil || !gave || asked != "memory:works" {
		t.Fatalf("gave %t, %v; it asked for %q", gave, err, asked)
	}
	r := remote.New(s.Sessions...)
	err = r.View(t.Context(), func(v store.Snapshot) error {
		got, err := v.Get(here)
		if string(got) != "new" {
			t.Errorf("the successor's ledger has %q", got)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	<-s.Exited() // it saw that this process needs the ledger no more
}

func TestASuccessorThatFailsIsReported(t *testing.T) {
	if gave, err := start(t, "fails").Await(t.Context(), func(string) error { return nil }); err == nil || !gave {
		t.Errorf("after it took the ledger: gave %t, %v", gave, err)
	}
	gave, err := start(t, "works").Await(t.Context(), func(string) error { return errors.New("another ledger") })
	if err == nil || gave {
		t.Errorf("it was refused the ledger: gave %t, %v", gave, err)
	}
}

func TestASuccessorThatHangsIsEnded(t *testing.T) {
	s := start(t, "hangs")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if gave, err := s.Await(ctx, func(string) error { return nil }); !gave || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("gave %t, %v", gave, err)
	}
	<-s.Exited()
}

func TestArgumentsOfASuccessor(t *testing.T) {
	for given, want := range map[string]string{
		"run --config Caddyfile":                     "run --config Caddyfile",
		"run --pingback 127.0.0.1:1 --config x":      "run --config x",
		"run --config x --pingback=127.0.0.1:1":      "run --config x",
		"run --config x --watch --pingback [::1]:99": "run --config x --watch",
	} {
		got, err := arguments(strings.Fields(given))
		if err != nil || !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q, %v", given, got, err)
		}
	}
	if _, err := arguments([]string{"meter", "demo"}); err == nil || !strings.Contains(err.Error(), "farebox run") {
		t.Errorf("the demo: %v", err)
	}
}
