package pricefile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/farebox-dev/farebox/meter/pricing"
)

// MaxFileSize is the largest price file that Load reads.
const MaxFileSize = 8 << 20

// loader reads one file into one book and collects what is wrong.
type loader struct {
	file     string
	lines    []string
	problems Problems
	book     *pricing.Book
	units    map[string]bool // measured by any operation
	places   map[string]*Node
}

// Load parses and checks a price file. The book is nil if any problem is an
// error; the others are warnings. Load never panics.
func Load(file string, text []byte) (book *pricing.Book, problems Problems) {
	l := &loader{file: file, units: map[string]bool{}, places: map[string]*Node{}}
	defer func() {
		if p := recover(); p != nil { // the YAML library is known to, on some inputs
			book, problems = nil, Problems{{File: file, Line: 1, Column: 1, Message: "not valid YAML: the reader gave up"}}
		}
	}()
	if len(text) > MaxFileSize {
		return nil, Problems{{File: file, Message: fmt.Sprintf("the file has more than %d bytes", MaxFileSize)}}
	}
	s := strings.TrimPrefix(string(text), "\ufeff")
	l.lines = strings.Split(s, "\n")
	if !utf8.ValidString(s) {
		return nil, Problems{{File: file, Line: 1, Column: 1, Message: "not valid YAML: the file is not UTF-8"}}
	}
	sum := sha256.Sum256(text)
	l.book = &pricing.Book{File: file, Digest: hex.EncodeToString(sum[:]), Text: s, Fields: pricing.NewFields()}
	if root := parseYAML(s, l.errorAt); root != nil {
		l.root(root)
	}
	l.problems.sort()
	if l.problems.Errors() > 0 {
		return nil, l.problems
	}
	return l.book, l.problems
}

func (l *loader) add(line, col, width int, path, message string, warning bool) {
	const most = 500 // of each kind; a file with more is not a price file
	n := l.problems.Errors()
	if warning {
		n = l.problems.Warnings()
	}
	if n >= most {
		return
	}
	l.problems = append(l.problems, Problem{
		File: l.file, Line: line, Column: col, Path: path, Message: message, Warning: warning,
		Excerpt: excerpt(l.lines, line, col, width),
	})
}

func (l *loader) errorAt(line, col, width int, path, message string) {
	l.add(line, col, width, path, message, false)
}

func (l *loader) fail(n *Node, message string, args ...any) {
	l.add(n.line, n.col, n.width, n.path, fmt.Sprintf(message, args...), false)
}

func (l *loader) warn(n *Node, message string, args ...any) {
	l.add(n.line, n.col, n.width, n.path, fmt.Sprintf(message, args...), true)
}

// failKey reports a key that its mapping can't have.
func (l *loader) failKey(p *Pair, message string, args ...any) {
	l.add(p.line, p.col, p.width, p.parent, fmt.Sprintf(message, args...), false)
}

// node is the entry as a value, at the place of its key.
func (p *Pair) node() *Node {
	return &Node{line: p.line, col: p.col, width: p.width, path: p.Value.path}
}

// root reads the sections in the order in which they need each other.
func (l *loader) root(n *Node) {
	if n.Kind != MappingNode {
		l.fail(n, "a price file is a mapping of sections, not %s", n.what())
		return
	}
	if !l.object(n, "") {
		return
	}
	if v := n.Get("version"); v != nil && !v.is("1") {
		l.fail(v, "%s is not a version of this format; write 1", v.what())
	}
	l.credit(n.Get("credit"))
	if m := n.Get("markup"); m != nil {
		l.book.Markup, _ = l.percent(m)
	}
	l.policies(n.Get("policies"))
	l.labels(n.Get("labels"))
	l.operations(n.Get("operations"))
	l.models(n.Get("models"))
	l.refundWhen(n.Get("policies"))
	l.plans(n.Get("plans"))
	l.packs(n.Get("packs"))
	l.drawOrder(n.Get("draw_order"))
	l.alerts(n.Get("alerts"))
	l.links(n.Get("links"))
	l.references(n)
	if l.problems.Errors() == 0 {
		l.book.Compile()
		l.check()
	}
}

func (l *loader) credit(n *Node) {
	c := &l.book.Credit
	if n == nil || !l.object(n, "credit") {
		return
	}
	set(n, "name", &c.Name, l.text)
	c.Plural = c.Name + "s"
	set(n, "plural", &c.Plural, l.text)
	if v := n.Get("decimals"); v != nil {
		d, ok := l.whole(v)
		if ok && d > 9 {
			l.fail(v, "%d is too many; 0 to 9 decimals are kept", d)
		} else {
			c.Decimals = int(d)
		}
	}
	if v := n.Get("worth"); v != nil {
		if m, ok := l.money(v); ok {
			if m.Amount.IsZero() {
				l.fail(v, "a credit that is worth nothing can't be bought; leave worth out")
			}
			c.Worth = &m
		}
	}
}

func (l *loader) labels(n *Node) {
	if n == nil || !l.mapping(n) {
		return
	}
	for p := range n.entries() {
		l.id(p)
		if f, ok := l.field(p.Value); ok {
			if f.InAnswer() {
				l.fail(p.Value, "a label is read from the request, not from the answer")
				continue
			}
			l.book.Labels = append(l.book.Labels, pricing.Label{Name: p.Key, Field: f})
		}
	}
}

func (l *loader) drawOrder(n *Node) {
	if n == nil || !l.list(n) {
		return
	}
	seen := map[string]bool{}
	for item := range n.items() {
		t, ok := l.grantType(item)
		if ok && seen[t] {
			l.fail(item, "%q is listed twice", t)
		}
		seen[t] = true
		l.book.DrawOrder = append(l.book.DrawOrder, t)
	}
	if len(n.Items) == 0 {
		l.fail(n, "the list is empty; leave it out or name the types of credits")
	}
}

func (l *loader) alerts(n *Node) {
	if n == nil || !l.list(n) {
		return
	}
	for item := range n.items() {
		if !l.object(item, "alert") {
			continue
		}
		if len(item.Pairs) != 1 {
			l.fail(item, `an alert has one of "below", "runs_out_within" and "overage_above"`)
			continue
		}
		var a pricing.Alert
		if v := item.Get("below"); v != nil {
			a.Below = l.threshold(item.at(v.path), v)
		}
		setPointer(item, "runs_out_within", &a.RunsOutWithin, l.duration)
		setPointer(item, "overage_above", &a.OverageAbove, l.amount)
		l.book.Alerts = append(l.book.Alerts, a)
	}
}

func (l *loader) threshold(place, v *Node) *pricing.Threshold {
	if v.Kind != ScalarNode {
		l.fail(place, `%s; write "20%%" or an amount`, v.what())
		return nil
	}
	t, err := ParseThreshold(v.Text, l.book.Credit.Decimals)
	if err != nil {
		if digits := leadingNumber(v.Text); digits != "" && strings.Contains(v.Text, "perc") {
			l.fail(place, `"%s"; write "%s%%"`, v.Text, digits)
		} else {
			l.amount(v)
		}
		return nil
	}
	return &t
}

func (l *loader) links(n *Node) {
	to := map[string]*string{
		"top_up": &l.book.Links.TopUp, "upgrade": &l.book.Links.Upgrade,
		"prices": &l.book.Links.Prices, "support": &l.book.Links.Support,
	}
	if n == nil || !l.object(n, "links") {
		return
	}
	for p := range n.entries() {
		s, ok := l.text(p.Value)
		if !ok || to[p.Key] == nil {
			continue
		}
		lower := strings.ToLower(s)
		if !strings.HasPrefix(lower, "https://") && !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "mailto:") {
			l.fail(p.Value, `%q is not a link; write "https://…" or "mailto:…"`, s)
			continue
		}
		*to[p.Key] = s
	}
}
