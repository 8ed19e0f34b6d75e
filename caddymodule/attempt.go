package caddymodule

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/farebox-dev/farebox/meter"
)

// attempt is a request that is sent with something in it that the client did
// not write. An upstream that refuses that gets it once more, as it was.
type attempt struct {
	groups map[string]struct{} // of routes that had matched, before the rest of the chain ran
}

// routeGroups is where Caddy keeps which groups of routes have been taken; the
// handle blocks of a Caddyfile are one.
const routeGroups = caddy.CtxKey("route_group")

func newAttempt(r *http.Request) *attempt {
	groups, _ := r.Context().Value(routeGroups).(map[string]struct{})
	return &attempt{groups: maps.Clone(groups)}
}

// retries reports whether the answer may be one to what the gateway has added.
func (t *response) retries() bool {
	return t.first != nil && (t.status == http.StatusBadRequest || t.status == http.StatusUnprocessableEntity)
}

// refusedAddition reports whether the upstream has refused what the gateway has
// added, and can do without. Then all of its answer is forgotten and the next one
// may begin.
func (t *response) refusedAddition(known *refusals) bool {
	held, ok := t.body.(*buffered)
	if !ok || !t.retries() || t.r.Context().Err() != nil {
		return false
	}
	addition := t.call.Outgoing().Refused(held.plain())
	if addition == "" {
		return false
	}
	if _, ok := t.call.Outgoing().Without(addition); !ok {
		return false
	}
	known.add(refusalKey(t.r, t.info.Model, addition))
	header := t.Header()
	clear(header)
	t.before.restore(header)
	if groups, ok := t.r.Context().Value(routeGroups).(map[string]struct{}); ok {
		clear(groups)
		maps.Copy(groups, t.first.groups)
	}
	if len(t.call.Outgoing().Additions()) == 0 {
		t.first = nil
	}
	t.status, t.body = 0, nil
	return true
}

// fields are the fields of a header at one time.
type fields []field

type field struct {
	name   string
	values []string
}

// fieldsOf appends the fields of a header to room.
func fieldsOf(header http.Header, room []field) fields {
	for name, values := range header {
		room = append(room, field{name, values})
	}
	return room
}

func (f fields) index(name string) int {
	return slices.IndexFunc(f, func(f field) bool { return f.name == name })
}

func (f fields) has(name string) bool { return f.index(name) >= 0 }

func (f fields) get(name string) []string {
	if i := f.index(name); i >= 0 {
		return f[i].values
	}
	return nil
}

// restore puts the fields into an empty header.
func (f fields) restore(header http.Header) {
	for i := range f {
		header[f[i].name] = slices.Clone(f[i].values)
	}
}

// refusals remembers for which paths and models the upstream of a directive
// refuses which additions. It is small and forgets, since upstreams learn.
type refusals struct {
	mu    sync.Mutex
	until map[string]time.Time
}

const (
	refusalsKept = 1000
	refusalFor   = time.Hour
)

func refusalKey(r *http.Request, model, addition string) string {
	return r.URL.Path + "\x00" + model + "\x00" + addition
}

// recall takes out of a request what its upstream has refused before.
func (m *refusals) recall(r *http.Request, model string, out *meter.Outgoing) {
	for _, addition := range out.Additions() {
		for ok := true; ok && addition != "" && m.has(refusalKey(r, model, addition)); {
			addition, ok = out.Without(addition)
		}
	}
}

func (m *refusals) has(key string) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.until[key])
}

func (m *refusals) add(key string) {
	if m == nil || len(key) > 500 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.until == nil || len(m.until) >= refusalsKept {
		m.until = map[string]time.Time{}
	}
	m.until[key] = time.Now().Add(refusalFor)
}
