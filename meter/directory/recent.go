package directory

import "sync"

// mostRecent is how many records of a kind half of a recent holds.
const mostRecent = 16_384

// recent keeps what was lately read from the store, so that a caller who comes
// again costs no look into it. There may be millions of keys and members; memory
// holds a bounded part. What is not used for a while goes: when young is full,
// it replaces old.
type recent[K comparable, V any] struct {
	mu         sync.Mutex
	young, old map[K]V
	changes    uint64
}

// get returns what is known of k. If nothing is, read it from the store and add
// it with the same number of changes.
func (c *recent[K, V]) get(k K) (v V, known bool, changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, known = c.young[k]; known {
		return v, true, c.changes
	}
	if v, known = c.old[k]; known {
		c.put(k, v)
	}
	return v, known, c.changes
}

// add keeps what was read, unless something has changed since get: then it may
// be out of date already, and a revoked key must not come back.
func (c *recent[K, V]) add(k K, v V, changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == changes {
		c.put(k, v)
	}
}

func (c *recent[K, V]) put(k K, v V) {
	if c.young == nil || len(c.young) >= mostRecent {
		c.young, c.old = map[K]V{}, c.young
	}
	c.young[k] = v
}

// clear forgets all of it: another gateway has changed something.
func (c *recent[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.young, c.old = nil, nil
}

// forget is called when a change was committed, or may have been.
func (c *recent[K, V]) forget(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	delete(c.young, k)
	delete(c.old, k)
}
