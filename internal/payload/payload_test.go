package payload

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
)

// growth counts what Read tells, and may refuse large bodies.
type growth struct {
	slow, large int
	refuse      error
}

func (g *growth) Slow() { g.slow++ }

func (g *growth) Large() error {
	g.large++
	return g.refuse
}

const limit = 64_000_000

func content(n int) []byte {
	return bytes.Repeat([]byte("All was quiet. The ferry left at dawn."), n/38+1)[:n]
}

// Bodies of any size are read as they were sent, whatever they declare, and again in memory of other bodies.
func TestBodiesAreReadWhole(t *testing.T) {
	for range 2 {
		for _, n := range []int{0, 1, bytes.MinRead, firstRead - 1, firstRead, firstRead + 1, Small - 1, Small, Small + 1, step, step + 1, 9_000_000} {
			for _, size := range []int64{int64(n), -1} {
				var g growth
				want := content(n)
				b, err := Read(bytes.NewReader(want), size, limit, &g)
				if err != nil || !bytes.Equal(b.Bytes, want) {
					t.Fatalf("%d bytes, declared as %d: %d, %v", n, size, len(b.Bytes), err)
				}
				if large := n > Small; (g.large == 1) != large || (b.memory != nil) != large {
					t.Errorf("%d bytes, declared as %d: it was called large %d times", n, size, g.large)
				}
				b.Release()
			}
		}
	}
}

// offered notes how much room it gets.
type offered struct {
	io.Reader
	sent, most int
}

func (o *offered) Read(p []byte) (int, error) {
	o.most = max(o.most, o.sent+len(p))
	n, err := o.Reader.Read(p[:min(len(p), 1000)])
	o.sent += n
	return n, err
}

// A length that a client declares and does not send costs no memory.
func TestMemoryGrowsAsBytesCome(t *testing.T) {
	for _, sent := range []int{1, 50_000, 300_000, 900_000} {
		o := offered{Reader: io.MultiReader(bytes.NewReader(content(sent)), iotest.ErrReader(io.ErrUnexpectedEOF))}
		_, err := Read(&o, limit, limit, new(growth))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: %v", sent, err)
		}
		if most := max(firstRead, 4*sent) * 3 / 2; o.most > most {
			t.Errorf("%d bytes had room for %d", sent, o.most)
		}
	}
}

func TestBodiesThatAreNotRead(t *testing.T) {
	var tooLarge *http.MaxBytesError
	if _, err := Read(bytes.NewReader(content(3_000_000)), -1, 2_000_000, new(growth)); !errors.As(err, &tooLarge) {
		t.Errorf("above the limit: %v", err)
	}
	refused := errors.New("no credits")
	o := offered{Reader: bytes.NewReader(content(9_000_000))}
	if _, err := Read(&o, 9_000_000, limit, &growth{refuse: refused}); !errors.Is(err, refused) || o.sent > Small+firstRead {
		t.Errorf("a large body that is refused: %v after %d bytes", err, o.sent)
	}
	var g growth
	if _, err := Read(iotest.OneByteReader(bytes.NewReader(content(100))), 100, limit, &g); err != nil || g.slow != 1 {
		t.Errorf("a body in pieces: slow %d times, %v", g.slow, err)
	}
	g = growth{}
	if _, err := Read(iotest.DataErrReader(bytes.NewReader(content(100))), 100, limit, &g); err != nil || g.slow != 0 {
		t.Errorf("a body that comes at once: slow %d times, %v", g.slow, err)
	}
}

// Memory is not used for another body while anything may look at it: whoever read it, or a transport that goes on after its request.
func TestMemoryThatIsReadIsNotUsedAgain(t *testing.T) {
	read := func(fill byte) Body {
		b, err := Read(bytes.NewReader(bytes.Repeat([]byte{fill}, 2*Small)), 2*Small, limit, new(growth))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	again := false
	for range 10 {
		first := read('a')
		var open, late Reader
		first.Open(&open)
		first.With(first.Bytes[1:]).Open(&late)
		first.Release()
		other := read('b')
		other.Release()
		if got, err := io.ReadAll(&open); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{'a'}, 2*Small)) {
			t.Fatalf("a reader that is open reads %.10q, %v", got, err)
		}
		_ = open.Close()
		_ = open.Close()
		// late is closed while it writes
		r, w := io.Pipe()
		wrote := make(chan error, 1)
		go func() {
			_, err := late.WriteTo(w)
			wrote <- errors.Join(err, w.Close())
		}()
		start := make([]byte, 1000)
		if _, err := io.ReadFull(r, start); err != nil {
			t.Fatal(err)
		}
		_ = late.Close()
		second := read('c')
		rest, err := io.ReadAll(r)
		if err = errors.Join(err, <-wrote); err != nil || bytes.IndexByte(rest, 'c') >= 0 || len(rest)+len(start) != 2*Small-1 {
			t.Fatalf("memory was used while it was written: %v", err)
		}
		if _, err := late.Read(start); !errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("a closed reader reads: %v", err)
		}
		last := first.memory
		second.Release()
		third := read('d')
		again = again || third.memory == last || second.memory == last
	}
	if !again {
		t.Error("memory that is free is not used again")
	}
}

func BenchmarkRead(b *testing.B) {
	sent := content(20_000_000)
	b.SetBytes(int64(len(sent)))
	b.ReportAllocs()
	for b.Loop() {
		got, err := Read(bytes.NewReader(sent), int64(len(sent)), limit, new(growth))
		if err != nil {
			b.Fatal(err)
		}
		got.Release()
	}
}
