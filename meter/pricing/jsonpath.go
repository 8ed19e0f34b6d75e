package pricing

import "strconv"

// jsonPath is a node of the tree of all paths that are looked for.
type jsonPath struct {
	name     string
	index    int // as an array index, -1 if name is none
	children []*jsonPath
	value    int // slot of the value here, -1 if none
	count    int // slot of the number of elements, -1 if none
	slots    []int
}

func newJSONPath() *jsonPath { return &jsonPath{index: -1, value: -1, count: -1} }

// add makes the tree find the value at path for a slot.
func (p *jsonPath) add(parts []string, slot int) {
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
			c.add(parts[1:], slot)
			return
		}
	}
	c := newJSONPath()
	c.name = parts[0]
	if n, err := strconv.Atoi(c.name); err == nil && n >= 0 && strconv.Itoa(n) == c.name {
		c.index = n
	}
	p.children = append(p.children, c)
	c.add(parts[1:], slot)
}
