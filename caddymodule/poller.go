package caddymodule

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/farebox-dev/farebox/internal/coding"
	"github.com/farebox-dev/farebox/meter"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// Jobs are settled by the status responses that their clients request. For
// clients that never poll, the gateway does: it sends the question
// through its own routes, as if a client had, so that it reaches the same
// upstream with the same credentials of the provider.

const (
	defaultPoll     = 10 * time.Second
	lookEvery       = time.Second
	questionsAtOnce = 4
	questionTimeout = time.Minute
)

var errServerGone = errors.New("the server that it was started through is not there any more")

type questionKey struct{}

// question marks a request of the gateway itself; no client can make one.
type question struct{}

// origin says where the request that started a job came in.
type origin struct {
	Server string `json:"server"`
	Host   string `json:"host"`
	TLS    bool   `json:"tls,omitempty"`
}

// requestOrigin is the origin of a request, for meter.Request.
type requestOrigin struct{ *http.Request }

// JSON is the origin as a job's record has it.
func (r requestOrigin) JSON() []byte {
	o := origin{Host: r.Host, TLS: r.TLS != nil}
	if s, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && s != nil {
		o.Server = s.Name()
	}
	b, err := json.Marshal(o)
	if err != nil {
		return nil // strings always marshal
	}
	return b
}

// poller asks for jobs while a configuration is in force.
type poller struct {
	app    *App
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (a *App) startPoller() *poller {
	ctx, cancel := context.WithCancel(context.Background())
	p := &poller{app: a, cancel: cancel}
	a.askForJobs()
	e := a.engine
	p.done.Go(func() { p.run(ctx, e) })
	return p
}

func (a *App) askForJobs() {
	every := time.Duration(a.Poll)
	if every == 0 {
		every = defaultPoll
	}
	a.engine.Jobs.AskFirst(max(every, 0))
}

// stop ends the looking and waits for questions under way.
func (p *poller) stop() {
	p.cancel()
	p.done.Wait()
}

func (p *poller) run(ctx context.Context, e *engine) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	room := make(chan struct{}, questionsAtOnce)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, q := range e.Jobs.Due(ctx, questionsAtOnce-len(room)) {
			room <- struct{}{}
			p.done.Go(func() {
				defer func() { <-room }()
				p.ask(ctx, &q)
			})
		}
	}
}

// ask sends one question through the server that the job's request came in by.
func (p *poller) ask(ctx context.Context, q *meter.JobQuestion) {
	a := &answering{reader: q.Reader}
	whole := false
	defer func() {
		if r := recover(); r != nil && r != http.ErrAbortHandler { // reverse_proxy's way to say that a copy was cut short
			p.app.log.Error("asking for a job", zap.Any("panic", r), zap.String("path", q.Path))
		}
		a.end(whole)
	}()
	server, r, err := request(ctx, q)
	if err != nil {
		p.app.log.Warn("a job can't be asked for", zap.String("path", q.Path), zap.Error(err))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), questionTimeout)
	defer cancel()
	server.ServeHTTP(a, r.WithContext(context.WithValue(ctx, questionKey{}, &question{})))
	whole = ctx.Err() == nil
}

// request makes the question a request to the server in force.
func request(ctx context.Context, q *meter.JobQuestion) (http.Handler, *http.Request, error) {
	var o origin
	if err := json.Unmarshal(q.Origin, &o); err != nil {
		return nil, nil, err
	}
	app, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		return nil, nil, err
	}
	server := app.(*caddyhttp.App).Servers[o.Server] //nolint:forcetypeassert // the app of that name
	if server == nil {
		return nil, nil, errServerGone
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "http", Host: o.Host, Path: q.Path}).String(), http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	r.URL.Scheme, r.URL.Host = "", "" // as a server has them
	if o.TLS {
		host, _, _ := strings.Cut(o.Host, ":")
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: host}
	}
	maps.Copy(r.Header, q.Header)
	return server, r, nil
}

// answering reads the answer to a question.
type answering struct {
	reader  *meter.JobReader
	header  http.Header
	began   bool
	encoded *coding.Tee
}

// Header implements http.ResponseWriter.
func (a *answering) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

// WriteHeader implements http.ResponseWriter.
func (a *answering) WriteHeader(status int) {
	if a.began || status < 200 {
		return
	}
	a.began = true
	a.reader.Begin(status, a.Header())
	if c := coding.Of(a.Header()); c != "" {
		a.encoded = coding.NewTee(c, a.reader.Observe)
	}
}

// Write implements io.Writer.
func (a *answering) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.encoded != nil {
		a.encoded.Write(p)
	} else {
		a.reader.Observe(p)
	}
	return len(p), nil
}

// Flush implements http.Flusher.
func (a *answering) Flush() {}

func (a *answering) end(whole bool) {
	if a.encoded != nil {
		_ = a.encoded.Close()
	}
	a.reader.End(whole && a.began)
}

// maxWebhook bounds the body of a webhook that is looked into.
const maxWebhook = 1 << 20

// called takes an upstream's word that a job is over. Anybody could say that: it
// only makes the gateway ask.
func (h *Handler) called(w http.ResponseWriter, r *http.Request, e *engine, op *pricing.Operation) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxWebhook))
	if err != nil {
		return caddyhttp.Error(http.StatusBadRequest, err)
	}
	e.Jobs.Called(op, body)
	w.WriteHeader(http.StatusNoContent) // a caller must not learn whether the job exists
	return nil
}
