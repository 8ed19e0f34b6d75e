package pricefile

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/selector"
)

var (
	idForm       = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	typeForm     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)
	unitForm     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	moneyForm    = regexp.MustCompile(`^([0-9][0-9_]*(?:\.[0-9_]+)?) ([A-Z]{3})$`)
	durationForm = regexp.MustCompile(`^([1-9][0-9_]*) (minute|hour|day|week|month|year)s?$`)
	numberPart   = regexp.MustCompile(`[0-9][0-9_]*(?:\.[0-9]+)?`)
	shortForm    = regexp.MustCompile(`^([1-9][0-9_]*)\s*([a-zA-Z]+)$`)
)

// object checks that n is a mapping with the keys of a section: no other, and
// those that it needs.
func (l *loader) object(n *Node, name string) bool {
	s := section(name)
	if !l.mapping(n) || !l.keys(n, s.Names()) {
		return false
	}
	for _, k := range s.Keys {
		if k.Required != "" {
			l.required(n, k.Name, k.Required)
		}
	}
	return true
}

func (l *loader) mapping(n *Node) bool {
	if n.Kind != MappingNode {
		l.fail(n, "a mapping is needed here, not %s", n.what())
		return false
	}
	return true
}

func (l *loader) list(n *Node) bool {
	if n.Kind != ListNode {
		l.fail(n, "a list is needed here, not %s", n.what())
		return false
	}
	return true
}

// keys reports all keys that have no meaning here.
func (l *loader) keys(n *Node, valid []string) bool {
	ok := true
	for p := range n.entries() {
		if slices.Contains(valid, p.Key) {
			continue
		}
		ok = false
		l.unknownKey(p, valid)
	}
	return ok || n.path != ""
}

func (l *loader) unknownKey(p *Pair, valid []string) {
	if key, _, found := strings.Cut(p.Key, ":"); found && slices.Contains(valid, key) {
		line := []rune(l.lines[p.line-1])
		l.add(p.line, p.col, len([]rune(key))+1, p.parent, needsSpace(key, strings.TrimSuffix(string(line[p.col-1:]), "\r")), false)
		return
	}
	l.failKey(p, "unknown key %q%s", p.Key, suggest(p.Key, valid))
}

func (l *loader) required(n *Node, key, hint string) {
	if n.Get(key) != nil {
		return
	}
	for i := range n.Pairs {
		if strings.HasPrefix(n.Pairs[i].Key, key+":") {
			return // it is there, but lacks the space after the colon
		}
	}
	l.fail(n, "%q is missing; %s", key, hint)
}

func (l *loader) text(n *Node) (string, bool) {
	if n.Kind != ScalarNode || n.Text == "" {
		l.fail(n, "a text is needed here, not %s", n.what())
		return "", false
	}
	return n.Text, true
}

func (l *loader) id(p *Pair) {
	if !idForm.MatchString(p.Key) {
		l.fail(p.node(), `%q can't be a name here; use small letters, digits, "-" and "_"`, p.Key)
	}
}

func (l *loader) grantType(n *Node) (string, bool) {
	if n.Kind != ScalarNode || !typeForm.MatchString(n.Text) {
		l.fail(n, `%s is not a type of credits; use small letters, digits and "_"`, n.what())
		return "", false
	}
	return n.Text, true
}

// decimal reads a number that is not negative, from its text.
func (l *loader) decimal(n *Node) (money.Decimal, bool) {
	if n.Kind != ScalarNode {
		l.fail(n, "a number is needed here, not %s", n.what())
		return money.Decimal{}, false
	}
	d, err := money.ParseDecimal(n.Text)
	if err == nil {
		return d, true
	}
	switch s := n.Text; {
	case errors.Is(err, money.ErrOverflow):
		l.fail(n, "the number is too long")
	case strings.Contains(s, ",") && numberPart.MatchString(s):
		plain := strings.ReplaceAll(s, ",", "")
		if whole, ok := grouped(s); ok {
			l.fail(n, `"%s" has a comma; write %s or %s`, s, plain, whole)
		} else {
			l.fail(n, `"%s" has a comma; write %s`, s, strings.Replace(s, ",", ".", 1))
		}
	case strings.HasPrefix(s, "-"):
		l.fail(n, "%s is negative; no number here can be", s)
	default:
		l.fail(n, "%q is not a number; write digits with at most one point", s)
	}
	return money.Decimal{}, false
}

var groups = regexp.MustCompile(`^[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$`)

// grouped turns "1,000" into "1_000".
func grouped(s string) (string, bool) {
	return strings.ReplaceAll(s, ",", "_"), groups.MatchString(s)
}

// rate is decimal as an optional number.
func (l *loader) rate(n *Node) pricing.Rate {
	if n == nil {
		return pricing.Rate{}
	}
	d, ok := l.decimal(n)
	return pricing.Rate{Value: d, Set: ok}
}

func (l *loader) whole(n *Node) (int64, bool) {
	d, ok := l.decimal(n)
	if !ok {
		return 0, false
	}
	i, ok := d.Int64()
	if !ok || i > 1_000_000_000_000 {
		l.fail(n, "%s is not a whole number that makes sense here", n.Text)
		return 0, false
	}
	return i, true
}

func (l *loader) positive(n *Node) (int64, bool) {
	i, ok := l.whole(n)
	if i == 0 {
		l.fail(n, "must be at least 1")
	}
	return i, ok
}

func (l *loader) amount(n *Node) (money.Amount, bool) {
	d, ok := l.decimal(n)
	if !ok {
		return 0, false
	}
	a, err := money.ParseAmount(n.Text, l.book.Credit.Decimals)
	switch {
	case errors.Is(err, money.ErrPrecision):
		l.fail(n, "%s has more decimals than credit.decimals (%d) keeps", d, l.book.Credit.Decimals)
	case err != nil:
		l.fail(n, "%s is too large an amount", n.Text)
	default:
		return a, true
	}
	return 0, false
}

var everyWords = []string{"hour", "day", "week", "month", "quarter", "year"}

func (l *loader) every(n *Node) (calendar.Unit, bool) {
	word, ok := l.enum(n, everyWords...)
	if !ok {
		return 0, false
	}
	return calendar.ParseUnit(word)
}

func (l *loader) enum(n *Node, valid ...string) (string, bool) {
	if n.Kind == ScalarNode && slices.Contains(valid, n.Text) {
		return n.Text, true
	}
	l.fail(n, "%s is not one of %s%s", n.what(), strings.Join(valid, ", "), suggest(n.Text, valid))
	return "", false
}

// set reads the value of a key, if the mapping has it.
func set[T any](n *Node, key string, to *T, read func(*Node) (T, bool)) {
	if v := n.Get(key); v != nil {
		if x, ok := read(v); ok {
			*to = x
		}
	}
}

// setPointer is set where nil means that the file does not say.
func setPointer[T any](n *Node, key string, to **T, read func(*Node) (T, bool)) {
	if n.Get(key) != nil {
		*to = new(T)
		set(n, key, *to, read)
	}
}

// word reads one of the words that the table has for a key, such as "plan.renews".
func (l *loader) word(place string) func(*Node) (string, bool) {
	return func(n *Node) (string, bool) { return l.enum(n, words(place)...) }
}

// says reports whether the key at a place of the table has this word.
func (l *loader) says(n *Node, place, word string) bool {
	_, key, _ := strings.Cut(place, ".")
	got := ""
	set(n, key, &got, l.word(place))
	return got == word
}

func (l *loader) boolean(n *Node) (bool, bool) {
	if n.Kind == ScalarNode && n.boolean {
		return n.Text == "true", true
	}
	l.fail(n, "%s is not true or false", n.what())
	return false, false
}

func (l *loader) texts(n *Node) []string {
	if !l.list(n) {
		return nil
	}
	list := make([]string, 0, len(n.Items))
	for item := range n.items() {
		if s, ok := l.text(item); ok {
			list = append(list, s)
		}
	}
	return list
}

// tags are texts in the form of ids.
func (l *loader) tags(n *Node) []string {
	if n == nil {
		return nil
	}
	list := l.texts(n)
	for item := range n.items() {
		if item.Kind == ScalarNode && item.Text != "" && !idForm.MatchString(item.Text) {
			l.fail(item, `%q can't be a tag; use small letters, digits, "-" and "_"`, item.Text)
		}
	}
	return list
}

func (l *loader) selector(n *Node) *selector.Selector {
	if n == nil || !l.object(n, "selector") {
		return nil
	}
	if len(n.Pairs) == 0 {
		l.fail(n, "selects nothing; name operations, models, features or tags")
		return nil
	}
	s := &selector.Selector{}
	for key, list := range map[string]*[]string{
		"operations": &s.Operations, "models": &s.Models, "features": &s.Features, "tags": &s.Tags,
	} {
		if v := n.Get(key); v != nil {
			*list = l.texts(v)
		}
	}
	return s
}

// field reads the name of a place in a request or an answer.
func (l *loader) field(n *Node) (*pricing.Field, bool) {
	if n.Kind != ScalarNode {
		l.fail(n, "a field such as body.n is needed here, not %s", n.what())
		return nil, false
	}
	f, problem := pricing.ParseField(n.Text)
	if f == nil {
		prefixes := []string{"body", "form", "header", "query", "path", "key", "member", "response"}
		head, _, _ := strings.Cut(n.Text, ".")
		hint := suggest(head, prefixes)
		if hint == "" || slices.Contains(prefixes, head) {
			hint = "; write body.…, form.…, header.…, query.…, path.<n>, key.…, member.…, response.body.…, response.header.… or response.status"
		}
		l.fail(n, "%q %s%s", n.Text, problem, hint)
		return nil, false
	}
	return l.book.Fields.Add(f), true
}

// instant reads effective_from: a day, or an RFC 3339 time.
func (l *loader) instant(n *Node) time.Time {
	if n == nil {
		return time.Time{}
	}
	if n.Kind == ScalarNode {
		if t, err := time.ParseInLocation("2006-01-02", n.Text, l.book.Policies.Timezone); err == nil {
			return t
		}
		if t, err := time.Parse(time.RFC3339, n.Text); err == nil {
			return t
		}
	}
	l.fail(n, `%s is not a day or a time; write "2026-12-31" or "2026-12-31T12:00:00Z"`, n.what())
	return time.Time{}
}

func (l *loader) zone(n *Node) *time.Location {
	if n.Kind == ScalarNode && n.Text != "" && n.Text != "Local" {
		if zone, err := time.LoadLocation(n.Text); err == nil {
			return zone
		}
	}
	l.fail(n, `%s is not a time zone; write "UTC" or one such as "Europe/Berlin"`, n.what())
	return time.UTC
}
