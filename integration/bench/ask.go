//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// send posts a body as the customer whose key it is.
func send(c *http.Client, addr, path, key, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := c.Do(req)
	if err != nil || res.StatusCode == http.StatusOK {
		return res, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(io.LimitReader(res.Body, 300))
	return nil, fmt.Errorf("%s: %s %w", res.Status, text, err)
}

// whole posts a body, and reads an answer that must contain want.
func whole(c *http.Client, addr, path, key, body, want string) (time.Duration, error) {
	began := time.Now()
	res, err := send(c, addr, path, key, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(res.Body)
	if err == nil && !strings.Contains(string(text), want) {
		err = fmt.Errorf("not the upstream's answer: %.300s", text)
	}
	return time.Since(began), err
}

func askChat(c *http.Client, addr, key string) (sample, error) {
	took, err := whole(c, addr, "/v1/chat/completions", key, question, sentence)
	return sample{1, took}, err
}

// askStream takes the time to the first byte of the first event.
func askStream(c *http.Client, addr, key string) (sample, error) {
	began := time.Now()
	res, err := send(c, addr, "/v1/chat/completions", key, "application/json", strings.NewReader(streamQuestion))
	if err != nil {
		return sample{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	var first time.Duration
	var n int
	var last byte
	for buf := make([]byte, 16<<10); err == nil; {
		var size int
		if size, err = res.Body.Read(buf); size == 0 {
			continue
		}
		if first == 0 {
			first = time.Since(began)
		}
		if n += bytes.Count(buf[:size], []byte("\n\n")); last == '\n' && buf[0] == '\n' {
			n++
		}
		last = buf[size-1]
	}
	if err == io.EOF {
		err = nil
	}
	if err == nil && n < events {
		err = fmt.Errorf("a stream of %d events, not %d", n, events)
	}
	return sample{events, first}, err
}

const megabytes = largeBody / 1_000_000

func askDownload(c *http.Client, addr, key string) (sample, error) {
	began := time.Now()
	res, err := send(c, addr, "/v1/audio/speech", key, "application/json", strings.NewReader(`{"model":"tts-1","input":"Fog."}`))
	if err != nil {
		return sample{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && n != largeBody {
		err = fmt.Errorf("%d bytes, not %d", n, largeBody)
	}
	return sample{megabytes, time.Since(began)}, err
}

func askUpload(c *http.Client, addr, key string) (sample, error) {
	began := time.Now()
	res, err := send(c, addr, "/v1/uploads", key, "application/octet-stream", bytes.NewReader(large))
	if err != nil {
		return sample{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(res.Body)
	if want := fmt.Sprintf(`{"bytes":%d}`, largeBody); err == nil && string(text) != want {
		err = fmt.Errorf("the upstream received %s, not %s", text, want)
	}
	return sample{megabytes, time.Since(began)}, err
}

func askUploadJSON(c *http.Client, addr, key string) (sample, error) {
	took, err := whole(c, addr, "/v1/chat/completions", key, largeQuestion, sentence)
	return sample{megabytes, took}, err
}
