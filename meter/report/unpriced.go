package report

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/farebox-dev/farebox/meter/input"
)

// Unpriced is a kind of request that has passed without a price, or was refused
// for lack of one.
type Unpriced struct {
	Reason string // operation_not_priced, model_not_priced; free: it passed, see policies.unpriced
	Method string
	Path   string // ids as "*"
	Model  string // of model_not_priced
	Count  int64
	First  time.Time
	Last   time.Time
}

// UnpricedLog counts requests without a price since the process began, so that an
// operator sees what the price file does not name. It is safe for concurrent use.
type UnpricedLog struct {
	mu    sync.Mutex
	seen  map[unpricedKey]*Unpriced
	other int64
}

type unpricedKey struct{ reason, method, path, model string }

// Clients choose paths and models, so both are bounded.
const (
	unpricedKinds = 500
	longestName   = 120
)

// Note counts a request. Model is the one that has no price, if that is the reason.
func (u *UnpricedLog) Note(at time.Time, reason, method, uri, model string) {
	k := unpricedKey{reason, shortName(method), pathPattern(uri), shortName(model)}
	u.mu.Lock()
	defer u.mu.Unlock()
	x := u.seen[k]
	if x == nil {
		if len(u.seen) >= unpricedKinds {
			u.other++
			return
		}
		if u.seen == nil {
			u.seen = map[unpricedKey]*Unpriced{}
		}
		x = &Unpriced{Reason: reason, Method: k.method, Path: k.path, Model: k.model, First: at}
		u.seen[k] = x
	}
	x.Count++
	x.Last = at
}

func shortName(s string) string {
	if len(s) > longestName {
		s = s[:longestName] + "…"
	}
	return input.Printable(strings.ToValidUTF8(s, "?"))
}

// pathPattern is a path with what looks like an id as "*": a segment with a
// digit that is no version, or a long one.
func pathPattern(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	parts := strings.Split(path, "/")
	if len(parts) > 12 {
		parts = append(parts[:12], "…")
	}
	for i, p := range parts {
		if len(p) > 40 || strings.ContainsAny(p, "0123456789%") && !isVersion(p) {
			parts[i] = "*"
		}
	}
	return shortName(strings.Join(parts, "/"))
}

// isVersion: v1, v1beta, v2alpha3.
func isVersion(s string) bool {
	return len(s) >= 2 && len(s) <= 8 && (s[0] == 'v' || s[0] == 'V') && s[1] >= '0' && s[1] <= '9'
}

// List is what was counted, most frequent first. more counts requests of further kinds.
func (u *UnpricedLog) List() (list []Unpriced, more int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, x := range u.seen {
		list = append(list, *x)
	}
	slices.SortFunc(list, func(a, b Unpriced) int {
		if a.Count != b.Count {
			return int(b.Count - a.Count)
		}
		return strings.Compare(a.Reason+a.Method+a.Path+a.Model, b.Reason+b.Method+b.Path+b.Model)
	})
	return list, u.other
}
