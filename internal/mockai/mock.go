// Package mockai is an AI upstream that answers the same every time: for the demo, and for tests that ask what reached the
// upstream. It speaks enough of OpenAI, Anthropic and Gemini for their official SDKs, and an image and video API with jobs.
//
// Counting is simple and documented, so that tests can compute charges by hand:
// input = 3 for each message + the bytes of all text / 4, rounded up; output = words of the answer, each one chunk of a stream.
//
// The model's name asks for trouble. It may be the whole name or a part of it:
//
//	fail-500, fail-502, fail-422, fail-429 …  this status
//	quota         429 insufficient_quota, as if the operator's account were empty
//	slow          answers after Options.SlowFor
//	cut-stream    the connection breaks after a few chunks
//	error-stream  200, then an error inside the stream (or the JSON)
//	no-usage      everything but the usage
//	long-stream   400 chunks, if the request allows
//	job-failed    a job that fails
package mockai

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"
)

// Options of a mock. The zero value is a realistic upstream.
type Options struct {
	Latency time.Duration // before the first byte; default 0
	Pace    time.Duration // between chunks of a stream; default 15 ms, negative for none
	SlowFor time.Duration // how long "slow" takes; default 10 s
	// JobPolls is how often a job is polled before it is done; default 1.
	JobPolls int
	// Models are those that GET /v1/models lists; default: one of each kind.
	Models []string
}

// Request is a request as the upstream saw it.
type Request struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte // at most 1 MB of it
}

// Mock is the upstream. It is safe for concurrent use.
type Mock struct {
	opt Options

	mu       sync.Mutex
	requests int
	aborted  int
	paths    map[string]int
	models   map[string]int
	last     Request
	jobs     map[string]*job
}

// Handler returns the mock as a plain handler.
func Handler(opt Options) http.Handler { return New(opt) }

// New returns a mock whose counters can be read.
func New(opt Options) *Mock {
	if opt.Pace == 0 {
		opt.Pace = 15 * time.Millisecond
	}
	if opt.SlowFor == 0 {
		opt.SlowFor = 10 * time.Second
	}
	if opt.JobPolls == 0 {
		opt.JobPolls = 1
	}
	return &Mock{opt: opt, paths: map[string]int{}, models: map[string]int{}, jobs: map[string]*job{}}
}

// Requests is the number of requests so far.
func (m *Mock) Requests() int { return m.read(func() int { return m.requests }) }

// Path is the number of requests for a path, by any method.
func (m *Mock) Path(path string) int { return m.read(func() int { return m.paths[path] }) }

// Model is the number of requests that named a model.
func (m *Mock) Model(model string) int { return m.read(func() int { return m.models[model] }) }

// Aborted is the number of requests whose client left before the end.
func (m *Mock) Aborted() int { return m.read(func() int { return m.aborted }) }

func (m *Mock) read(f func() int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f()
}

// Last is the latest request; the zero Request if there was none.
func (m *Mock) Last() Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// call is one request in progress.
type call struct {
	*Mock
	w     http.ResponseWriter
	r     *http.Request
	body  gjson.Result
	model string
}

const (
	maxRemembered = 1 << 20
	maxBody       = 64 << 20
)

// ServeHTTP answers like the AI API the path belongs to; unknown paths get 200 and {"ok":true}.
func (m *Mock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := &call{Mock: m, w: w, r: r, body: gjson.ParseBytes(parsed(r, body))}
	c.model = c.body.Get("model").String()
	if rest, ok := cutAfter(r.URL.Path, "/models/"); ok && c.model == "" {
		c.model, _, _ = strings.Cut(rest, ":")
	}
	m.remember(r, body, c.model)
	w.Header().Set("X-Request-Id", "req_mock_"+strconv.Itoa(m.Requests()))
	if !c.wait(m.opt.Latency) || c.has("slow") && !c.wait(m.opt.SlowFor) {
		return
	}
	if c.failed() {
		return
	}
	c.route()
}

func (m *Mock) remember(r *http.Request, body []byte, model string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests++
	m.paths[r.URL.Path]++
	if model != "" {
		m.models[model]++
	}
	m.last = Request{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), body[:min(len(body), maxRemembered)]}
}

// parsed is the body as JSON; the fields of a form become members (SDKs create videos with forms).
func parsed(r *http.Request, body []byte) []byte {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		return body
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := r.ParseMultipartForm(maxRemembered); err != nil {
		return nil
	}
	members := object{}
	for name, values := range r.MultipartForm.Value {
		members[name] = values[0]
	}
	b, err := json.Marshal(members)
	if err != nil {
		panic(err) // strings always marshal
	}
	return b
}

func cutAfter(s, mark string) (string, bool) {
	_, rest, ok := strings.Cut(s, mark)
	return rest, ok
}

func (c *call) has(behaviour string) bool { return strings.Contains(c.model, behaviour) }

// wait sleeps unless the client leaves.
func (c *call) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), d)
	defer cancel()
	<-ctx.Done()
	if c.r.Context().Err() != nil {
		c.mu.Lock()
		c.aborted++
		c.mu.Unlock()
		return false
	}
	return true
}

// failed answers with the failure that the model's name asks for.
func (c *call) failed() bool {
	if c.has("quota") {
		c.fail(http.StatusTooManyRequests, "insufficient_quota", "You exceeded your current quota.")
		return true
	}
	digits, ok := cutAfter(c.model, "fail-")
	if !ok || len(digits) < 3 {
		return false
	}
	status, err := strconv.Atoi(digits[:3])
	if err != nil || status < 400 || status > 599 {
		return false
	}
	if status == http.StatusTooManyRequests {
		c.w.Header().Set("Retry-After", "1")
	}
	c.fail(status, "mock_failure", "The mock upstream was asked to fail.")
	return true
}

func (c *call) fail(status int, code, message string) {
	inner := object{"message": message, "type": code, "code": code, "param": nil}
	body := object{"error": inner}
	if strings.Contains(c.r.URL.Path, "/v1/messages") {
		body = object{"type": "error", "error": object{"type": code, "message": message}, "request_id": "req_mock"}
	}
	c.json(status, body)
}

type object = map[string]any

func (c *call) json(status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // answers are made of plain maps
	}
	c.w.Header().Set("Content-Type", "application/json")
	if c.has("cut-stream") {
		c.w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		c.w.WriteHeader(status)
		_, _ = c.w.Write(b[:len(b)/2])
		_ = http.NewResponseController(c.w).Flush()
		panic(http.ErrAbortHandler)
	}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(b)
}

func (c *call) route() {
	path := c.r.URL.Path
	post := c.r.Method == http.MethodPost
	switch {
	case post && strings.HasSuffix(path, "/chat/completions"):
		c.chat()
	case post && strings.HasSuffix(path, "/v1/responses"):
		c.responses()
	case post && strings.HasSuffix(path, "/v1/embeddings"):
		c.embeddings()
	case post && strings.HasSuffix(path, "/images/generations"):
		c.images()
	case post && strings.HasSuffix(path, "/v1/messages/count_tokens"):
		c.json(http.StatusOK, object{"input_tokens": c.input()})
	case post && strings.HasSuffix(path, "/v1/messages"):
		c.messages()
	case post && strings.HasSuffix(path, "enerateContent"):
		c.gemini()
	case strings.HasSuffix(path, "/v1/models"):
		c.models()
	case strings.Contains(path, "/v1/images"):
		c.job("image", "/v1/images")
	case strings.Contains(path, "/v1/videos"):
		c.job("video", "/v1/videos")
	default:
		c.json(http.StatusOK, object{"ok": true, "path": path})
	}
}
