package coding

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

var text = strings.Repeat("Twelve words, and twelve more. ", 4000)

// encoded is text in all codings.
func encoded(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	pack := func(coding string, open func(io.Writer) (io.WriteCloser, error)) {
		var b bytes.Buffer
		w, err := open(&b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		all[coding] = b.Bytes()
	}
	pack("gzip", func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	pack("deflate", func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil })
	pack(" Deflate", func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, 5) }) // without zlib's header
	pack("br", func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriter(w), nil })
	pack("zstd", func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	var twice bytes.Buffer
	w := gzip.NewWriter(&twice)
	if _, err := w.Write(all["br"]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	all["br, gzip"] = twice.Bytes()
	return all
}

func TestEveryCodingIsUndone(t *testing.T) {
	for name, body := range encoded(t) {
		coding := Of(http.Header{"Content-Encoding": {name}})
		if got := Plain(coding, body, 1<<20); string(got) != text {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(text))
		}
		var seen bytes.Buffer
		tee := NewTee(coding, func(p []byte) { seen.Write(p) })
		for chunk := range slices.Chunk(body, 100) {
			tee.Write(chunk)
		}
		if err := tee.Close(); err != nil || seen.String() != text {
			t.Errorf("%s in pieces: %d bytes, %v", name, seen.Len(), err)
		}
	}
}

func TestACodingIsUnknownOrWrong(t *testing.T) {
	body := []byte("plain after all")
	if got := Plain("compress", body, 100); got != nil {
		t.Errorf("an unknown coding is read as %q", got)
	}
	if got := Plain("gzip", body, 100); string(got) != string(body) {
		t.Errorf("a body that is not in its coding is read as %q", got)
	}
	if got := Plain("", body, 100); string(got) != string(body) {
		t.Errorf("a plain body is read as %q", got)
	}
	tee := NewTee("compress", func([]byte) { t.Error("something was read") })
	tee.Write(body)
	if err := tee.Close(); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown coding: %v", err)
	}
	for _, plain := range []string{"", "identity", " Identity "} {
		if got := Of(http.Header{"Content-Encoding": {plain}}); got != "" {
			t.Errorf("%q is the coding %q", plain, got)
		}
	}
}

func TestPlainIsBounded(t *testing.T) {
	if got := Plain("gzip", encoded(t)["gzip"], 100); string(got) != text[:100] {
		t.Errorf("%d bytes", len(got))
	}
}
