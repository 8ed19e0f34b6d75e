package secrets

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// core writes requests and headers without secrets. They are copied only when they
// are written, so what is not logged costs nothing.
type core struct{ zapcore.Core }

// With implements zapcore.Core. It is lazy: reverse_proxy calls it for each request, and
// hardly ever logs one.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{zapcore.NewLazyWith(c.Core, hide(fields))}
}

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Core.Check(e, nil) == nil {
		return to
	}
	return to.AddCore(e, c)
}

// Write implements zapcore.Core. The entry goes the way that Check would have sent it:
// a tee asks each of its cores again.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	e.Message = hideText(e.Message)
	if to := c.Core.Check(e, nil); to != nil {
		to.Write(hide(fields)...)
	}
	return nil
}

// hide replaces the fields that hold a request or a header.
func hide(fields []zapcore.Field) []zapcore.Field {
	out := fields
	for i, f := range fields {
		var m zapcore.ObjectMarshaler
		switch x := f.Interface.(type) {
		case caddyhttp.LoggableHTTPRequest:
			m = request(x)
		case caddyhttp.LoggableHTTPHeader:
			m = header(x)
		default:
			continue
		}
		if &out[0] == &fields[0] { // the caller's stay as they are
			out = slices.Clone(fields)
		}
		out[i] = zap.Object(f.Key, m)
	}
	return out
}

type request caddyhttp.LoggableHTTPRequest

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (r request) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	shown := new(http.Request)
	*shown = *r.Request
	shown.Header, shown.RequestURI = hideHeader(r.Header), hideURI(r.RequestURI)
	return caddyhttp.LoggableHTTPRequest{Request: shown, ShouldLogCredentials: true}.MarshalLogObject(enc)
}

type header caddyhttp.LoggableHTTPHeader

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (h header) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	return caddyhttp.LoggableHTTPHeader{Header: hideHeader(h.Header), ShouldLogCredentials: true}.MarshalLogObject(enc)
}
