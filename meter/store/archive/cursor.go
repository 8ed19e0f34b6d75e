package archive

// Cursor walks over the records of a run, forwards or backwards.
type Cursor struct {
	run   *run
	back  bool
	block int
	list  []Record
	at    int
	err   error
	room  room // of blocks behind the first one
}

// newCursor begins at the first record whose key is not less than start or, going
// back, at the last one whose key is less.
func newCursor(r *run, start string, back bool) *Cursor {
	c := &Cursor{run: r, back: back, block: max(r.blockOf(start), 0)}
	if c.block < len(r.blocks) { // many cursors read no further: the next one may begin here, too
		c.list, c.err = r.block(c.block)
	}
	if c.list == nil {
		return c
	}
	c.at = find(c.list, start)
	if back {
		c.at--
	}
	c.settle()
	return c
}

// load reads the current block, in the place of the last one: a long walk makes no
// garbage, and drives nothing out of the run's cache.
func (c *Cursor) load() {
	c.list = nil
	if c.block < 0 || c.block >= len(c.run.blocks) {
		return
	}
	if c.list = c.run.cache.get(c.block); c.list == nil {
		c.list, c.err = c.run.read(c.block, &c.room)
	}
}

// settle moves to a neighbouring block if the current one has ended.
func (c *Cursor) settle() {
	switch {
	case c.list == nil:
	case c.at < 0:
		c.block--
		c.load()
		c.at = len(c.list) - 1
	case c.at >= len(c.list):
		c.block++
		c.load()
		c.at = 0
	}
}

// Valid reports whether there is a record. Look at Err when there is none.
func (c *Cursor) Valid() bool { return c.list != nil }

// Record is the current record. It must not be changed; its value is valid until Next.
func (c *Cursor) Record() Record { return c.list[c.at] }

// Next moves on.
func (c *Cursor) Next() {
	if c.back {
		c.at--
	} else {
		c.at++
	}
	c.settle()
}

// Err is why the cursor has ended early.
func (c *Cursor) Err() error { return c.err }
