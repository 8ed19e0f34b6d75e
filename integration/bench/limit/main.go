//go:build linux

// Command limit is Caddy with two middlewares to compare the meter with. Neither
// reads, prices or counts anything.
//
//   - `limit * <file>` is the least that can keep the promise: a record is durable
//     before a request goes upstream, and another one before its response is
//     complete. No gateway that keeps the promise is faster.
//   - `transaction * <dir>` is the usual way to keep it: a synced transaction of an
//     embedded database for each hold and each settle.
package main

import (
	"io"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() {
	caddy.RegisterModule(new(handler))
	for _, kind := range []string{"limit", "transaction"} {
		httpcaddyfile.RegisterHandlerDirective(kind, func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
			l := &handler{Kind: kind}
			if !h.Next() || !h.AllArgs(&l.Path) {
				return nil, h.ArgErr()
			}
			return l, nil
		})
		httpcaddyfile.RegisterDirectiveOrder(kind, httpcaddyfile.Before, "reverse_proxy")
	}
	caddycmd.Main()
}

// book makes holds and settles durable.
type book interface {
	hold(account string) error
	settle(account string) error
	close() error
}

// handler waits for the hold and for the settle of a request.
type handler struct {
	Kind string `json:"kind"`
	Path string `json:"path"`

	book book
}

func (*handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.limit", New: func() caddy.Module { return new(handler) }}
}

func (h *handler) Provision(caddy.Context) error {
	if h.Kind == "transaction" {
		b, err := openBalances(h.Path)
		if err == nil {
			h.book = b
		}
		return err
	}
	l, err := openLog(h.Path)
	if err == nil {
		h.book = l
	}
	return err
}

func (h *handler) Cleanup() error {
	if h.book == nil { // it was not provisioned
		return nil
	}
	return h.book.close()
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	account := r.Header.Get("Authorization")
	if err := h.book.hold(account); err != nil {
		return err
	}
	l := &lastByte{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, book: h.book, account: account, rest: -1}
	err := next.ServeHTTP(l, r)
	if e := l.once(); err == nil {
		err = e
	}
	return err
}

// lastByte settles before the last byte of a response is written. A response of
// unknown length ends when the handler returns.
type lastByte struct {
	caddyhttp.ResponseWriterWrapper
	book    book
	account string
	settled bool
	rest    int64 // bytes of the body that are still to come; negative if unknown
}

func (l *lastByte) once() error {
	if l.settled {
		return nil
	}
	l.settled = true
	return l.book.settle(l.account)
}

func (l *lastByte) WriteHeader(status int) {
	if n, err := strconv.ParseInt(l.Header().Get("Content-Length"), 10, 64); err == nil {
		l.rest = n
	}
	l.ResponseWriter.WriteHeader(status)
}

func (l *lastByte) Write(p []byte) (int, error) {
	if l.rest >= 0 {
		if l.rest -= int64(len(p)); l.rest <= 0 {
			if err := l.once(); err != nil {
				return 0, err
			}
		}
	}
	return l.ResponseWriter.Write(p)
}

// ReadFrom of the embedded writer would bypass Write.
func (l *lastByte) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{l}, r)
}

var (
	_ caddy.Provisioner           = (*handler)(nil)
	_ caddy.CleanerUpper          = (*handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*handler)(nil)
)
