package frame

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/internal/jsonscan"
)

// split reads a stream in pieces and returns its events, one on each line.
func split(f Format, stream []byte, piece func() int) string {
	var doc jsonscan.Truncator
	var got strings.Builder
	s := New(f, &doc)
	read := func() {
		if e, ok := s.Event(); ok {
			fmt.Fprintf(&got, "%s|%s|%v\n", e.Name, e.Data, e.Failed)
		}
		s.Reset()
	}
	for len(stream) > 0 {
		n := min(max(piece(), 1), len(stream))
		for rest := stream[:n]; len(rest) > 0; {
			var ended bool
			if rest, ended = s.Next(rest); ended {
				read()
			}
		}
		stream = stream[n:]
	}
	if s.End() {
		read()
	}
	return got.String()
}

// awsFrame is a message of an AWS event stream.
func awsFrame(kind, event, payload string) []byte {
	var headers []byte
	for _, h := range [][2]string{{":event-type", event}, {":message-type", kind}} {
		headers = append(append(headers, byte(len(h[0]))), h[0]...)
		headers = binary.BigEndian.AppendUint16(append(headers, 7), uint16(len(h[1])))
		headers = append(headers, h[1]...)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(minFrame+len(headers)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	b = append(append(b, 0, 0, 0, 0), headers...)
	return append(append(b, payload...), 0, 0, 0, 0)
}

func TestSplitters(t *testing.T) {
	large := awsFrame("event", "chunk", strings.Repeat(" ", maxFrame))
	for _, tt := range []struct {
		name   string
		format Format
		stream string
		want   string
	}{
		{"line ends of all kinds", SSE, "\xEF\xBB\xBF: hello\r\nevent: a\r\ndata: {\"x\":\r\ndata: 1}\r\n\r\ndata:2\r\rdata: 3\n\n", "a|{\"x\":\n1}|false\n|2|false\n|3|false\n"},
		{"the last blank line is missing", SSE, "data: {\"x\":1}", "|{\"x\":1}|false\n"},
		{"the last event is torn", SSE, "data: {\"x\":", ""},
		{"no data", SSE, "event: ping\n\n: comment\n\nretry: 10\n\n", ""},
		{"lines", Lines, "{\"x\":1}\n\n{\"x\":2}\r\n{\"x\":3}", "|{\"x\":1}|false\n|{\"x\":2}\r|false\n|{\"x\":3}|false\n"},
		{"array", Array, "[{\"x\":\"}\"},\n {\"y\":{\"z\":[1]}}]", "|{\"x\":\"}\"}|false\n|{\"y\":{\"z\":[1]}}|false\n"},
		{
			"AWS", AWS, string(awsFrame("event", "chunk", `{"x":1}`)) + string(large) + string(awsFrame("exception", "throttlingException", `{}`)),
			"chunk|{\"x\":1}|false\nthrottlingException|{}|true\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := split(tt.format, []byte(tt.stream), func() int { return len(tt.stream) }); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			random := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				most := 1 + random.IntN(9) + len(tt.stream)/50
				if got := split(tt.format, []byte(tt.stream), func() int { return random.IntN(most) }); got != tt.want {
					t.Fatalf("in pieces: got %q, want %q", got, tt.want)
				}
			}
		})
	}
}

// TestFilterChangesNothingElse: without the dropped events, the stream is what it was.
func TestFilterChangesNothingElse(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var stream, want []byte
		for range 1 + random.IntN(6) {
			end := []string{"\n", "\r\n", "\r"}[random.IntN(3)]
			dropped := random.IntN(3) == 0
			event := fmt.Sprintf("data: %v%s%s", dropped, end, end)
			stream = append(stream, event...)
			if !dropped {
				want = append(want, event...)
			}
		}
		var doc jsonscan.Truncator
		s := New(SSE, &doc)
		drop := func() bool {
			e, _ := s.Event()
			defer s.Reset()
			return string(e.Data) == "true"
		}
		f := NewFilter(s, drop)
		var got []byte
		for rest := stream; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 12))
			got = append(got, f.Write(rest[:n])...)
			rest = rest[n:]
		}
		if got = append(got, f.Close(s.End() && drop())...); !bytes.Equal(got, want) {
			t.Fatalf("%q became %q, want %q", stream, got, want)
		}
	}
}

func TestSniffer(t *testing.T) {
	for _, tt := range []struct {
		contentType, body string
		arrays, failed    bool
		want              Format
	}{
		{"application/json", ` {"a":1}`, false, false, JSON},
		{"application/json", "data: {}\n\n", false, false, SSE},
		{"application/json", "data: {}\n\n", false, true, JSON},
		{"text/plain", "event: a\n", false, false, SSE},
		{"text/plain", "dates", false, false, Opaque},
		{"text/event-stream", `{"a":1}`, false, false, JSON},
		{"text/event-stream", `[{}`, true, false, Array},
		{"application/json", `[{}`, true, false, Array},
		{"application/json", `[{}`, true, true, JSON},
		{"application/x-ndjson", "data: {}", false, false, SSE},
		{"application/x-ndjson", "{}", false, false, Lines},
		{"audio/mpeg", "ID3", false, false, Opaque},
		{"application/json", "\r\n \n", false, false, Undecided},
	} {
		s := NewSniffer(FormatOf(tt.contentType), tt.arrays, tt.failed)
		got := s.Start()
		for i := 0; i < len(tt.body) && got == Undecided; i++ { // byte by byte
			got, _ = s.Write([]byte(tt.body[i : i+1]))
		}
		if got != tt.want {
			t.Errorf("%s %q: format %d, want %d", tt.contentType, tt.body, got, tt.want)
		}
	}
}
