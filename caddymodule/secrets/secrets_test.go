package secrets

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logging is a logger as Caddy's, behind ours, and what it wrote.
func logging() (*zap.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	enc := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"})
	return zap.New(&core{zapcore.NewCore(enc, zapcore.AddSync(&b), zapcore.InfoLevel)}), &b
}

const key = "fb_live_0123456789abcdefghij"

func TestHeadersThatHoldSecrets(t *testing.T) {
	for name, value := range map[string]string{
		"Authorization": "Bearer sk-1", "X-Api-Key": "sk-1", "Api-Key": "sk-1", "X-Goog-Api-Key": "sk-1", "Cookie": "a=sk-1", "Set-Cookie": "a=sk-1",
		"Proxy-Authorization": "Basic sk-1", "X-Amz-Security-Token": "sk-1", "X-Auth": "sk-1", "Sec-Websocket-Protocol": "realtime, openai-insecure-api-key.sk-1",
		"Referer": "https://example.com/?a=b&key=sk-1", "X-Forwarded-Uri": "/v1?api_key=sk-1", "X-Thing": key, "X-Custom-Secret": "sk-1",
	} {
		h := http.Header{name: {value}}
		if got := hideHeader(h).Get(name); strings.Contains(got, "sk-1") || strings.Contains(got, key) {
			t.Errorf("%s: %s", name, got)
		}
		if h.Get(name) != value {
			t.Errorf("%s of the request itself was changed", name)
		}
	}
	for name, value := range map[string]string{
		"Idempotency-Key": "order-5", "Content-Type": "application/json", "User-Agent": "x", "Sec-Websocket-Key": "abc", "X-Ratelimit-Remaining-Tokens": "5", "Referer": "https://example.com/?a=b",
	} {
		if got := hideHeader(http.Header{name: {value}}).Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func TestURIsThatHoldSecrets(t *testing.T) {
	for uri, want := range map[string]string{
		"/v1/models": "/v1/models", "/v1?max_tokens=5&n=1": "/v1?max_tokens=5&n=1", "/v1?key=a": "/v1?key=REDACTED", "/v1?k%65y=a&b=c": "/v1?k%65y=REDACTED&b=c",
		"/v1?%zz=a": "/v1?%zz=REDACTED", "/v1?access_token=a&x": "/v1?access_token=REDACTED&x", "/_meter/open/fb_link_abcDEF012": "/_meter/open/REDACTED",
		"/v1?x=fb_live_abc": "/v1?x=REDACTED", "/v1?": "/v1?", "": "", "*": "*",
	} {
		if got := hideURI(uri); got != want {
			t.Errorf("%s is logged as %s, want %s", uri, got, want)
		}
	}
}

// Requests are hidden in fields of a logger, lazy ones, and fields of an entry.
func TestRequestsAreLoggedWithoutSecrets(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/v1?key="+key, nil)
	r.Header.Set("X-Api-Key", key)
	r.Header.Set("Authorization", "Bearer "+key)
	field := zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r, ShouldLogCredentials: true})
	headers := zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: http.Header{"Set-Cookie": {key}}, ShouldLogCredentials: true})
	for name, write := range map[string]func(*zap.Logger){
		"with":  func(l *zap.Logger) { l.With(field).Info("x", headers) },
		"lazy":  func(l *zap.Logger) { l.WithLazy(field).Named("a").Info("x", headers) },
		"entry": func(l *zap.Logger) { l.Info("for "+key, field, headers) },
	} {
		l, b := logging()
		write(l)
		if got := b.String(); strings.Contains(got, key) || strings.Count(got, hidden) < 4 || !strings.Contains(got, `"uri":"/v1?key=REDACTED"`) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if r.Header.Get("X-Api-Key") != key || !strings.Contains(r.RequestURI, key) {
		t.Error("the request itself was changed")
	}
	l, b := logging()
	l.Debug("x", field)
	if b.Len() > 0 {
		t.Errorf("a level that is off was logged: %s", b)
	}
}

// Handlers below subroutes, in error routes and in responses are found.
func TestEveryHandlerIsFound(t *testing.T) {
	deep, onError, after := new(reverseproxy.Handler), new(reverseproxy.Handler), new(rewrite.Rewrite)
	sub := &caddyhttp.Subroute{Routes: list(deep), Errors: &caddyhttp.HTTPErrorConfig{Routes: list(after)}}
	s := &caddyhttp.Server{Routes: list(&caddyhttp.Subroute{Routes: list(sub)}), Errors: &caddyhttp.HTTPErrorConfig{Routes: list(onError)}}
	if err := Handlers(s); err != nil { // none of them has a logger yet
		t.Fatal(err)
	}
	plain := zap.NewNop()
	type other struct {
		caddyhttp.MiddlewareHandler
		logger *zap.Logger
	}
	o := &other{logger: plain}
	if err := Handlers(&caddyhttp.Server{Routes: list(&caddyhttp.Subroute{Routes: list(o)})}); err != nil || o.logger == plain {
		t.Errorf("the logger of a handler was not exchanged: %v", err)
	}
	again := o.logger
	if err := handler(o); err != nil || o.logger != again {
		t.Errorf("it was exchanged twice: %v", err)
	}
	if err := exchange(o, "accessLogger"); err == nil {
		t.Error("a logger that is missing is no error")
	}
}

func list(h caddyhttp.MiddlewareHandler) caddyhttp.RouteList {
	return caddyhttp.RouteList{{Handlers: []caddyhttp.MiddlewareHandler{h}}}
}
