package pricefile

import (
	"fmt"
	"iter"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits against files that are made to be large: nesting, and the number of
// nodes after all aliases are followed.
const (
	maxYAMLDepth    = 60
	maxYAMLNodes    = 2_000_000
	maxYAMLLine     = 20_000
	maxYAMLBrackets = 200
)

type NodeKind uint8

const (
	NullNode NodeKind = iota
	ScalarNode
	MappingNode
	ListNode
)

// Node is a YAML value with its place. Scalars keep the text as written: no
// number is ever decoded.
type Node struct {
	Kind      NodeKind
	Text      string // of a scalar
	Plain     bool   // a scalar without quotes
	boolean   bool   // true or false without quotes
	line, col int
	width     int
	Pairs     []Pair
	Items     []*Node
	size      int    // nodes below and here, aliases followed
	path      string // "plans.plus.credits[0]", where Get, entries and items found it
}

type Pair struct {
	Key       string
	line, col int
	width     int
	Value     *Node
	parent    string // path of the mapping
}

// Get is the value of a key, nil if the mapping has no such key.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Pairs {
		if n.Pairs[i].Key == key {
			return n.Pairs[i].Value.at(join(n.path, key))
		}
	}
	return nil
}

// at is a copy with a path: what an alias means occurs at several.
func (n *Node) at(path string) *Node {
	c := *n
	c.path = path
	return &c
}

// entries are the keys and values of a mapping with their paths.
func (n *Node) entries() iter.Seq[*Pair] {
	return func(yield func(*Pair) bool) {
		for _, p := range n.Pairs {
			p.Value, p.parent = p.Value.at(join(n.path, p.Key)), n.path
			if !yield(&p) {
				return
			}
		}
	}
}

// items are the values of a list with their paths.
func (n *Node) items() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for i, item := range n.Items {
			if !yield(item.at(fmt.Sprintf("%s[%d]", n.path, i))) {
				return
			}
		}
	}
}

// part is a piece of a scalar's text, at its place.
func (n *Node) part(text string) *Node {
	c := n.at(n.path)
	c.Text = text
	return c
}

// is reports whether the value is this word.
func (n *Node) is(word string) bool { return n.Kind == ScalarNode && n.Text == word }

// what names the kind of a value in messages.
func (n *Node) what() string {
	switch n.Kind {
	case MappingNode:
		return "a mapping"
	case ListNode:
		return "a list"
	case ScalarNode:
		return fmt.Sprintf("%q", n.Text)
	default:
		return "nothing"
	}
}

// reader turns the syntax tree of the YAML library into nodes.
type yamlReader struct {
	report  func(line, col, width int, path, message string)
	anchors map[string]*Node
}

// Parse reads a file that has been loaded once more, as it is written.
func Parse(text string) *Node { return parseYAML(text, func(int, int, int, string, string) {}) }

// parseYAML reads the only document of a file, or nil after reporting why not.
func parseYAML(text string, report func(line, col, width int, path, message string)) *Node {
	if !bounded(text, report) {
		return nil
	}
	file, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		reportSyntax(text, err, report)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if _, comment := doc.Body.(*ast.CommentGroupNode); comment || doc.Body == nil {
			continue
		}
		if body != nil {
			t := doc.Body.GetToken()
			report(t.Position.Line, t.Position.Column, 1, "", "a second document begins here; a price file is one document")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		report(1, 1, 1, "", `the file is empty; it needs at least "version", "credit" and "operations"`)
		return nil
	}
	r := yamlReader{report: report, anchors: map[string]*Node{}}
	return r.node(body, "", 0)
}

func place(t *token.Token) (line, col, width int) {
	if t == nil || t.Position == nil {
		return 1, 1, 1
	}
	width = len([]rune(strings.TrimSpace(t.Origin)))
	return t.Position.Line, t.Position.Column, max(width, 1)
}

func (r *yamlReader) node(a ast.Node, path string, depth int) *Node {
	if a == nil {
		return &Node{Kind: NullNode, line: 1, col: 1, width: 1, size: 1}
	}
	n := &Node{size: 1}
	n.line, n.col, n.width = place(a.GetToken())
	if depth > maxYAMLDepth {
		r.report(n.line, n.col, 1, path, "nested too deeply")
		return n
	}
	switch x := a.(type) {
	case *ast.StringNode:
		n.Kind, n.Text = ScalarNode, x.Value
		n.Plain = x.Token.Type == token.StringType
	case *ast.LiteralNode:
		n.Kind, n.Text = ScalarNode, x.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.Kind, n.Text, n.Plain = ScalarNode, a.GetToken().Value, true
	case *ast.BoolNode:
		n.Kind, n.Text, n.Plain, n.boolean = ScalarNode, "false", true, true
		if x.Value {
			n.Text = "true"
		}
	case *ast.NullNode:
		n.Kind = NullNode
	case *ast.MappingNode:
		n.Kind = MappingNode
		r.mapping(n, x.Values, x.IsFlowStyle, path, depth)
	case *ast.MappingValueNode:
		n.Kind = MappingNode
		r.mapping(n, []*ast.MappingValueNode{x}, false, path, depth)
	case *ast.SequenceNode:
		n.Kind = ListNode
		for i, v := range x.Values {
			item := r.node(v, fmt.Sprintf("%s[%d]", path, i), depth+1)
			n.Items = append(n.Items, item)
			n.size += item.size
		}
	default:
		return r.indirect(n, a, path, depth)
	}
	if n.size > maxYAMLNodes {
		r.report(n.line, n.col, 1, path, "the aliases below this make the file too large")
		return &Node{Kind: NullNode, line: n.line, col: n.col, width: 1, size: 1}
	}
	return n
}

// indirect reads what stands for another value: anchors, aliases, tags.
func (r *yamlReader) indirect(n *Node, a ast.Node, path string, depth int) *Node {
	switch x := a.(type) {
	case *ast.AnchorNode:
		v := r.node(x.Value, path, depth+1)
		if x.Name != nil {
			r.anchors[x.Name.GetToken().Value] = v
		}
		return v
	case *ast.AliasNode:
		name := ""
		if x.Value != nil {
			name = x.Value.GetToken().Value
		}
		if v, ok := r.anchors[name]; ok {
			return v
		}
		r.report(n.line, n.col, len(name)+1, path, fmt.Sprintf(`there is no anchor "&%s" before this; a text that begins with "*" needs quotes`, name))
		return n
	case *ast.TagNode:
		tag := x.GetToken().Value
		v := r.node(x.Value, path, depth+1)
		switch tag {
		case "!!str":
			v.Plain, v.boolean = false, false
		case "!!int", "!!float", "!!bool", "!!map", "!!seq":
		default:
			r.report(n.line, n.col, len(tag), path, fmt.Sprintf("the tag %q has no meaning here", tag))
		}
		return v
	case *ast.MappingKeyNode:
		return r.node(x.Value, path, depth+1)
	}
	r.report(n.line, n.col, n.width, path, "this kind of YAML has no meaning here")
	return n
}

func (r *yamlReader) mapping(n *Node, values []*ast.MappingValueNode, flow bool, path string, depth int) {
	seen := make(map[string]int, len(values))
	var merged []Pair
	for i, mv := range values {
		line, col, width := place(mv.Key.GetToken())
		if i == 0 && !flow {
			n.line, n.col, n.width = line, col, width // a block mapping begins at its first key
		}
		if _, ok := mv.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, r.merge(mv.Value, path, depth)...)
			continue
		}
		key, ok := r.key(mv.Key)
		if !ok {
			r.report(line, col, width, path, "a key must be a plain text")
			continue
		}
		value := r.node(mv.Value, join(path, key), depth+1)
		n.size += value.size
		if value.Kind == NullNode && (mv.Value == nil || value.line == 1 && value.col == 1) {
			value.line, value.col, value.width = line, col, width
		}
		if first, twice := seen[key]; twice {
			p := n.Pairs[first]
			r.report(line, col, width, "", fmt.Sprintf("%s is defined twice; first at %d:%d", joinQuoted(path, key), p.line, p.col))
			continue
		}
		seen[key] = len(n.Pairs)
		n.Pairs = append(n.Pairs, Pair{Key: key, line: line, col: col, width: width, Value: value})
	}
	for _, p := range merged {
		if _, own := seen[p.Key]; !own {
			seen[p.Key] = len(n.Pairs)
			n.Pairs = append(n.Pairs, p)
			n.size += p.Value.size
		}
	}
}

func (r *yamlReader) key(k ast.MapKeyNode) (string, bool) {
	switch x := k.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.MappingKeyNode:
		if s, ok := x.Value.(*ast.StringNode); ok {
			return s.Value, true
		}
		return "", false
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return k.GetToken().Value, true
	}
	return "", false
}

func (r *yamlReader) merge(a ast.Node, path string, depth int) []Pair {
	v := r.node(a, path, depth+1)
	switch v.Kind {
	case MappingNode:
		return v.Pairs
	case ListNode:
		var all []Pair
		for _, item := range v.Items {
			all = append(all, item.Pairs...)
		}
		return all
	default:
		r.report(v.line, v.col, v.width, path, `"<<" needs a mapping`)
		return nil
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func joinQuoted(path, key string) string { return join(path, fmt.Sprintf("%q", key)) }
