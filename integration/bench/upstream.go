//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	sentence  = "The ferry left at dawn while fog lay over the harbour and nobody on the pier minded the delay."
	answer    = `{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"gpt-5-mini","choices":[{"index":0,"message":{"role":"assistant","content":"` + sentence + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":20,"total_tokens":45}}`
	delta     = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":" fog"},"finish_reason":null}]}` + "\n\n"
	usage     = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-5-mini","choices":[],"usage":{"prompt_tokens":25,"completion_tokens":2000,"total_tokens":2025}}` + "\n\n"
	done      = "data: [DONE]\n\n"
	events    = 2000
	largeBody = 20_000_000
)

// upstream is a mock AI API.
type upstream struct {
	server *http.Server
	addr   string
	delay  atomic.Int64 // ns before it answers
}

func newUpstream() (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{addr: l.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/chat/completions", u.chat)
	mux.HandleFunc("/v1/audio/speech", u.speech)
	mux.HandleFunc("/v1/uploads", u.upload)
	u.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: mux}
	go u.server.Serve(l) //nolint:errcheck // ends with Close
	return u, nil
}

// chat answers with a stream if the request asks for one.
func (u *upstream) chat(w http.ResponseWriter, r *http.Request) {
	head := make([]byte, 4<<10)
	n, _ := io.ReadFull(r.Body, head)
	_, _ = io.Copy(io.Discard, r.Body)
	time.Sleep(time.Duration(u.delay.Load()))
	if bytes.Contains(head[:n], []byte(`"stream":true`)) {
		stream(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}

// stream sends each event by itself, as fast as the gateway takes them.
func stream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	c := http.NewResponseController(w)
	for range events {
		if _, err := io.WriteString(w, delta); err != nil {
			return
		}
		_ = c.Flush()
	}
	_, _ = io.WriteString(w, usage+done)
}

var large = bytes.Repeat([]byte("0123456789abcdef"), largeBody/16)

func (u *upstream) speech(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "audio/mpeg")
	w.Header().Set("Content-Length", strconv.Itoa(len(large)))
	_, _ = w.Write(large)
}

func (u *upstream) upload(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"bytes":%d}`, n)
}

const question = `{"model":"gpt-5-mini","max_tokens":100,"messages":[{"role":"system","content":"You keep the logbook of a small port."},{"role":"user","content":"Summarise the harbour log in two sentences."}]}`

var (
	streamQuestion = strings.Replace(question, `"max_tokens":100`, `"max_tokens":4000,"stream":true,"stream_options":{"include_usage":true}`, 1)
	largeQuestion  = strings.Replace(question, "Summarise", strings.Repeat("All was quiet. ", largeBody/15)+"Summarise", 1)
)
