// Package coding undoes the content codings of HTTP (RFC 9110, section 8.4).
package coding

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// ErrUnknown is the error of a coding that is not known here.
var ErrUnknown = errors.New("unknown content encoding")

// Of is the coding of a message; "" if it is plain.
func Of(header http.Header) string {
	c := strings.ToLower(strings.TrimSpace(header.Get("Content-Encoding")))
	if c == "identity" {
		return ""
	}
	return c
}

// Decode undoes codings, the last one first.
func Decode(codings string, r io.Reader) (io.Reader, error) {
	list := strings.Split(strings.ToLower(codings), ",")
	for i := len(list) - 1; i >= 0; i-- {
		var err error
		if r, err = decodeOne(strings.TrimSpace(list[i]), r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func decodeOne(coding string, r io.Reader) (io.Reader, error) {
	switch coding {
	case "", "identity":
		return r, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "deflate":
		return inflate(r)
	case "br":
		return brotli.NewReader(r), nil
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return nil, err
		}
		return d, nil
	}
	return nil, ErrUnknown
}

// inflate reads deflate: with zlib's header, as RFC 9110 has it, or without, as
// some servers do.
func inflate(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(2)
	if err == nil && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(b)
	}
	return flate.NewReader(b), nil
}

// Plain is a body without its coding, at most so many bytes of it. One that is
// not in its coding is plain already. nil: the coding is unknown.
func Plain(coding string, body []byte, most int64) []byte {
	if coding == "" {
		return body
	}
	d, err := Decode(coding, bytes.NewReader(body))
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return body
	}
	plain, _ := io.ReadAll(io.LimitReader(d, most))
	return plain
}

// Tee decodes what is written to it while the same bytes go on elsewhere.
type Tee struct {
	pipe *io.PipeWriter
	done sync.WaitGroup
	err  error // once it is done
}

// NewTee gives what is decoded to observe, from a goroutine of its own.
func NewTee(coding string, observe func([]byte)) *Tee {
	r, w := io.Pipe()
	t := &Tee{pipe: w}
	t.done.Go(func() {
		defer io.Copy(io.Discard, r) //nolint:errcheck // whatever is wrong with the coding, the bytes go on
		var plain io.Reader
		if plain, t.err = Decode(coding, r); t.err != nil {
			return
		}
		buf := make([]byte, 32<<10)
		for {
			n, err := plain.Read(buf)
			observe(buf[:n])
			if err != nil {
				return
			}
		}
	})
	return t
}

// Write takes the next encoded bytes. It never fails.
func (t *Tee) Write(p []byte) { _, _ = t.pipe.Write(p) }

// Close waits until all has been decoded. The error is one of the coding, such as
// ErrUnknown.
func (t *Tee) Close() error {
	_ = t.pipe.Close()
	t.done.Wait()
	return t.err
}
