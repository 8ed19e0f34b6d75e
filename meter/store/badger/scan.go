package badger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/tidwall/btree"

	"github.com/farebox-dev/farebox/meter/store"
	"github.com/farebox-dev/farebox/meter/store/archive"
)

// span is what a scan covers: the keys with a prefix, from start on, or backwards
// from the last one before start.
type span struct {
	prefix, start string
	back          bool
}

func rangeOf(from store.ID, only bool) span {
	prefix := string([]byte{byte(from.Kind), '/'})
	if only {
		prefix = string(store.ID{Kind: from.Kind, Account: from.Account}.Bytes())
	}
	return span{prefix: prefix, start: string(from.Bytes())}
}

func rangeBefore(from store.ID) span {
	start := from.Bytes()
	if from.Name == "" {
		start[len(start)-1] = 1 // after all of the account: ids hold no control characters
	}
	return span{prefix: string(store.ID{Kind: from.Kind, Account: from.Account}.Bytes()), start: string(start), back: true}
}

func parse(key string) (store.ID, error) {
	id, ok := store.ParseKey(key)
	if !ok {
		return id, fmt.Errorf("a key of unknown form in the data directory: %q", key)
	}
	return id, nil
}

// cursor walks over the records of one source.
type cursor interface {
	key() string // "": there are no more. It is valid until next
	// value calls fn with the record, unless it was deleted. The key stays valid.
	value(fn func(key string, value []byte) error) error
	next()
	err() error // why it has ended early
}

// sound is the err of cursors that cannot fail.
type sound struct{}

func (sound) err() error { return nil }

// merge calls fn for the records of all sources in order. Of several with one key
// it takes that of the first source, which is the newest.
func merge(sources []cursor, back bool, fn func(key string, value []byte) error) error {
	before := func(a, b string) bool { return a != b && a < b != back }
	for {
		first := -1
		least, bound := "", "" // bound: where another source goes on
		for i, c := range sources {
			k := c.key()
			switch {
			case k == "":
			case first < 0 || before(k, least):
				first, least, bound = i, k, least
			case bound == "" || before(k, bound):
				bound = k
			}
		}
		if first < 0 {
			return ended(sources)
		}
		c := sources[first]
		if bound == least {
			if err := c.value(fn); err != nil {
				return err
			}
			for i := len(sources) - 1; i > first; i-- {
				if sources[i].key() == least {
					sources[i].next()
				}
			}
			c.next()
			continue
		}
		// Sources mostly have long stretches of their own: no other needs a look.
		for k := least; k != "" && (bound == "" || before(k, bound)); k = c.key() {
			if err := c.value(fn); err != nil {
				return err
			}
			c.next()
		}
	}
}

func ended(sources []cursor) error {
	for _, c := range sources {
		if err := c.err(); err != nil {
			return err
		}
	}
	return nil
}

// runCursor walks over a run of the archive.
type runCursor struct {
	c      *archive.Cursor
	prefix string
}

func (c *runCursor) key() string {
	if !c.c.Valid() || !strings.HasPrefix(c.c.Record().Key, c.prefix) {
		return ""
	}
	return c.c.Record().Key
}

func (c *runCursor) value(fn func(string, []byte) error) error {
	r := c.c.Record()
	if r.Value == nil {
		return nil
	}
	return fn(r.Key, r.Value)
}

func (c *runCursor) next() { c.c.Next() }

func (c *runCursor) err() error { return c.c.Err() }

// layerCursor walks over a layer.
type layerCursor struct {
	sound
	it   btree.MapIter[string, []byte]
	span span
	on   bool
}

func newLayerCursor(l *layer, r span) *layerCursor {
	c := &layerCursor{it: l.Iter(), span: r}
	c.on = c.it.Seek(r.start)
	if r.back {
		if c.on {
			c.on = c.it.Prev()
		} else {
			c.on = c.it.Last()
		}
	}
	return c
}

func (c *layerCursor) key() string {
	if !c.on || !strings.HasPrefix(c.it.Key(), c.span.prefix) {
		return ""
	}
	return c.it.Key()
}

func (c *layerCursor) value(fn func(string, []byte) error) error {
	if c.it.Value() == nil {
		return nil
	}
	return fn(c.it.Key(), c.it.Value())
}

func (c *layerCursor) next() {
	if c.span.back {
		c.on = c.it.Prev()
	} else {
		c.on = c.it.Next()
	}
}

// tableCursor walks over Badger.
type tableCursor struct {
	sound
	it     *badger.Iterator
	prefix []byte
}

func newTableCursor(t *badger.Txn, r span) *tableCursor {
	c := &tableCursor{prefix: []byte(r.prefix)}
	c.it = t.NewIterator(badger.IteratorOptions{Prefix: c.prefix, Reverse: r.back})
	c.it.Seek([]byte(r.start))
	if r.back && c.key() == r.start {
		c.it.Next()
	}
	return c
}

func (c *tableCursor) key() string {
	if !c.it.ValidForPrefix(c.prefix) {
		return ""
	}
	return text(c.it.Item().Key())
}

func (c *tableCursor) value(fn func(string, []byte) error) error {
	return c.it.Item().Value(func(v []byte) error { return fn(strings.Clone(c.key()), v) })
}

func (c *tableCursor) next() { c.it.Next() }

// listCursor walks over the writes of an update.
type listCursor struct {
	sound
	t    *tx
	keys []string
}

// newListCursor sorts what t has written within r.
func newListCursor(t *tx, r span) *listCursor {
	c := &listCursor{t: t}
	for k := range t.own {
		if strings.HasPrefix(k, r.prefix) && k < r.start == r.back && (k != r.start || !r.back) {
			c.keys = append(c.keys, k)
		}
	}
	slices.Sort(c.keys)
	if r.back {
		slices.Reverse(c.keys)
	}
	return c
}

func (c *listCursor) key() string {
	if len(c.keys) == 0 {
		return ""
	}
	return c.keys[0]
}

func (c *listCursor) value(fn func(string, []byte) error) error {
	if v := c.t.value(c.t.own[c.keys[0]]); v != nil {
		return fn(c.keys[0], v)
	}
	return nil
}

func (c *listCursor) next() { c.keys = c.keys[1:] }
