package wsframe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// clientFrame is a masked frame, as clients send them.
func clientFrame(head byte, payload []byte) []byte {
	b := Frame(0, payload)
	b[0] = head
	b[1] |= 0x80
	mask := [4]byte{1, 2, 3, 0xff}
	start := len(b) - len(payload)
	masked := append(append([]byte{}, b[:start]...), mask[:]...)
	for i, c := range payload {
		masked = append(masked, c^mask[i&3])
	}
	return masked
}

// messages reads a stream in pieces of at most size bytes.
func messages(p []byte, size int) (got []string, err error) {
	var f Reader
	for len(p) > 0 && err == nil {
		n := min(size, len(p))
		_, err = f.Read(p[:n], func(m []byte) error {
			got = append(got, string(m))
			return nil
		})
		p = p[n:]
	}
	return got, err
}

func TestFramesHoweverTheyAreCut(t *testing.T) {
	long, longer := strings.Repeat("a", 300), strings.Repeat("b", 70_000)
	var all []byte
	all = append(all, Frame(Text, []byte("one"))...)
	all = append(all, Frame(0x9, []byte("ping"))...)
	all = append(all, Frame(Text, nil)...)
	all = append(all, clientFrame(Text, []byte("two, "))...)           // not the last fragment
	all = append(all, clientFrame(0x8a, []byte("pong in between"))...) // control frames may come between
	all = append(all, clientFrame(continuation, []byte("more, "))...)  //
	all = append(all, clientFrame(0x80|continuation, []byte(long))...)
	all = append(all, Frame(Binary, []byte(longer))...)
	all = append(all, Close(PolicyViolation, strings.Repeat("x", 200))...)
	want := []string{"one", "", "two, more, " + long, longer}
	for _, size := range []int{1, 2, 3, 5, 7, 64, 1000, len(all)} {
		got, err := messages(all, size)
		if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("in pieces of %d: %v, %d messages", size, err, len(got))
		}
	}
}

func TestFramesStopBehindAMessage(t *testing.T) {
	enough := errors.New("enough")
	one, two := Frame(Text, []byte("one")), Frame(Text, []byte("two"))
	var f Reader
	n, err := f.Read(append(append([]byte{}, one...), two...), func([]byte) error { return enough })
	if n != len(one) || !errors.Is(err, enough) {
		t.Errorf("%d of %d bytes: %v", n, len(one), err)
	}
}

func TestFramesThatAreNone(t *testing.T) {
	for name, p := range map[string][]byte{
		"compressed":              {0xc1, 0x01, 'x'},
		"continuation of nothing": {0x80, 0x01, 'x'},
		"a message in a message":  {0x01, 0x01, 'x', 0x81, 0x01, 'y'},
		"reserved opcode":         {0x83, 0x00},
		"fragmented close":        {0x08, 0x00},
		"long ping":               {0x89, 126, 0, 200},
		"endless":                 binary.BigEndian.AppendUint64([]byte{0x82, 127}, 1<<63),
	} {
		if _, err := messages(p, 1); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLargeMessagesPassUnread(t *testing.T) {
	var f Reader
	count := 0
	on := func([]byte) error { count++; return nil }
	large := Frame(Binary, make([]byte, MaxMessage+1))
	for len(large) > 0 {
		n := min(len(large), 64<<10)
		if _, err := f.Read(large[:n], on); err != nil {
			t.Fatal(err)
		}
		large = large[n:]
	}
	if _, err := f.Read(Frame(Text, []byte("small")), on); err != nil || count != 1 || cap(f.message) > 1<<20 {
		t.Errorf("%v, %d messages, %d bytes kept", err, count, cap(f.message))
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(append(Frame(Text, []byte(`{"type":"response.done"}`)), clientFrame(0x81, []byte("hello"))...), uint8(1))
	f.Add([]byte{0x01, 0x01, 'x', 0x80, 0x01, 'y', 0x88, 0x00}, uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		whole, err := messages(data, max(len(data), 1))
		cut, cutErr := messages(data, 1+int(size))
		if (err == nil) != (cutErr == nil) || strings.Join(whole, "\x00") != strings.Join(cut, "\x00") {
			t.Fatalf("%q whole (%v), %q in pieces (%v)", whole, err, cut, cutErr)
		}
		for _, m := range whole {
			again, err := messages(Frame(Binary, []byte(m)), 1)
			if err != nil || len(again) != 1 || !bytes.Equal([]byte(again[0]), []byte(m)) {
				t.Fatalf("a message does not survive: %v", err)
			}
		}
	})
}
