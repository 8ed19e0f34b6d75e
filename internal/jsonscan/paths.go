package jsonscan

import "strconv"

// Paths is a tree of paths to look for, or a node of it. It is safe for concurrent
// use once all paths are added.
type Paths struct {
	name     string
	index    int // as an array index, -1 if name is none
	children []*Paths
	value    int // slot of the value here, -1 if none
	count    int // slot of the number of elements, -1 if none
	slots    []int
}

// NewPaths returns an empty tree.
func NewPaths() *Paths { return &Paths{index: -1, value: -1, count: -1} }

// Add makes the tree find the value at a path for a slot. A name that is a number
// is also an index; "#" is the number of elements of an array.
func (p *Paths) Add(parts []string, slot int) {
	p.slots = append(p.slots, slot)
	switch {
	case len(parts) == 0:
		p.value = slot
		return
	case parts[0] == "#":
		p.count = slot
		return
	}
	for _, c := range p.children {
		if c.name == parts[0] {
			c.Add(parts[1:], slot)
			return
		}
	}
	c := NewPaths()
	c.name = parts[0]
	if n, err := strconv.Atoi(c.name); err == nil && n >= 0 && strconv.Itoa(n) == c.name {
		c.index = n
	}
	p.children = append(p.children, c)
	c.Add(parts[1:], slot)
}

// Kind says what was found at a path.
type Kind uint8

// The kinds of values.
const (
	Absent Kind = iota // also null
	String
	Number
	Bool
	Other // an array or object, or # of what is no array
)

// Value is what was found at a path.
type Value struct {
	Kind      Kind
	Ambiguous bool   // a key on its path is there twice, or in another case
	Text      string // of a string, unescaped; of a number or bool, as written
}
