package secrets

import (
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Caddy has no way to put something between a server and its loggers, and its own
// filters are a part of each log's configuration. So the loggers that write requests
// are exchanged. They are not exported: a version of Caddy in which they are called
// something else is an error, and a test with the real program sees it.

// Loggers exchanges the loggers of a server. It must run before the server does.
func Loggers(s *caddyhttp.Server) error {
	return errors.Join(exchange(s, "accessLogger"), exchange(s, "errorLogger"), exchange(s, "traceLogger"))
}

// Handlers exchanges the loggers of the handlers on a server's routes, once all of
// them are provisioned.
func Handlers(s *caddyhttp.Server) error {
	failed := []error{routes(s.Routes)}
	if s.Errors != nil {
		failed = append(failed, routes(s.Errors.Routes))
	}
	for _, r := range s.NamedRoutes {
		failed = append(failed, routes(caddyhttp.RouteList{*r}))
	}
	return errors.Join(failed...)
}

func routes(list caddyhttp.RouteList) error {
	var failed []error
	for _, r := range list {
		for _, h := range r.Handlers {
			failed = append(failed, handler(h))
		}
	}
	return errors.Join(failed...)
}

func handler(h caddyhttp.MiddlewareHandler) error {
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		failed := []error{routes(h.Routes)}
		if h.Errors != nil {
			failed = append(failed, routes(h.Errors.Routes))
		}
		return errors.Join(failed...)
	case *reverseproxy.Handler:
		failed := []error{exchange(h, "logger")}
		for _, on := range h.HandleResponse {
			failed = append(failed, routes(on.Routes))
		}
		return errors.Join(failed...)
	}
	if v := reflect.Indirect(reflect.ValueOf(h)); v.Kind() == reflect.Struct && v.FieldByName("logger").IsValid() {
		return exchange(h, "logger") // such as rewrite, which logs requests when debugging
	}
	return nil
}

var loggerType = reflect.TypeFor[*zap.Logger]()

// exchange replaces the logger in a field of the struct that of points to. The one
// pointer is stored atomically: a server may be running already.
func exchange(of any, field string) error {
	v := reflect.ValueOf(of).Elem().FieldByName(field)
	if !v.IsValid() || v.Type() != loggerType {
		if field == "logger" && v.IsValid() { // a handler with a logger of another kind
			return nil
		}
		return fmt.Errorf("%T of this version of Caddy has no %s: keys can't be kept out of its log", of, field)
	}
	at := (*unsafe.Pointer)(unsafe.Pointer(v.UnsafeAddr())) //nolint:gosec // checked above
	have := (*zap.Logger)(atomic.LoadPointer(at))
	if have == nil { // a server without an access log
		return nil
	}
	if _, done := have.Core().(*core); done {
		return nil
	}
	with := have.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return &core{c} }))
	atomic.StorePointer(at, unsafe.Pointer(with)) //nolint:gosec // as above
	return nil
}
