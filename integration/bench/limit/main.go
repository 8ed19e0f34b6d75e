// Command limit is Caddy with the least that can keep the promise of the meter:
// a record is durable before a request goes upstream, and another one before its
// response is complete. It reads, prices and counts nothing, so no gateway that
// keeps the promise is faster.
package main

import (
	"io"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() {
	caddy.RegisterModule(new(handler))
	httpcaddyfile.RegisterHandlerDirective("limit", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		l := new(handler)
		return l, l.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder("limit", httpcaddyfile.Before, "reverse_proxy")
	caddycmd.Main()
}

// handler waits for two records of a request: `limit * <file>`.
type handler struct {
	File string `json:"file"`

	log *groupLog
}

func (*handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.limit", New: func() caddy.Module { return new(handler) }}
}

func (h *handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.Next() || !d.AllArgs(&h.File) {
		return d.ArgErr()
	}
	return nil
}

func (h *handler) Provision(caddy.Context) (err error) {
	h.log, err = openLog(h.File)
	return err
}

func (h *handler) Cleanup() error {
	if h.log == nil { // it was not provisioned
		return nil
	}
	return h.log.close()
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if err := h.log.append(); err != nil { // the hold
		return err
	}
	l := &lastByte{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, settle: h.log.append, rest: -1}
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
	settle  func() error
	settled bool
	rest    int64 // bytes of the body that are still to come; negative if unknown
}

func (l *lastByte) once() error {
	if l.settled {
		return nil
	}
	l.settled = true
	return l.settle()
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
