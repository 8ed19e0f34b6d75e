package pricing

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/farebox-dev/farebox/meter/money"
)

// A charge keeps what its price was computed from: the quantities that were used,
// and marks, which are what else the calculation depended on. As text, for people
// and for the parts of an answer by several models:
//
//	input=1200 output=30 image=3 quantity:4 tier:flex adjust:m0,o1 plan:team
//
// name=value is a quantity, name:value is a mark.

// Mark is one of Marks by its name, as a charge keeps it.
type Mark struct{ Name, Value string }

// Marks are what a price depended on in addition to its quantities.
type Marks struct {
	Tier    string   // service tier; "?" if it was no plain word
	Adjusts []string // that applied: "m0" is the model's first, "o1" the operation's second
	Plan    string   // whose discount was taken off
	Held    bool     // the answer did not say what it is priced by: it cost what was held

	times Rate // what the operation's quantity came to
	units []UnitCount
	entry string   // by which it was priced, escaped, if the model's name does not say it; "!" is none
	model string   // that counts for conditions, if the charge does not say it
	held  Rate     // of a part: what was held, if Held
	parts []string // records of the parts of an answer by several models

	pricedBy *Model // while the price is computed
	named    string
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9._-]{1,40}$`)

// Record is what to keep of an answer's price: the usage with the quantities that
// were asked for, and the marks. It returns the price, too, as Cost without a free
// tier does.
func (r *Request) Record(a *Answer, plan *Plan) (u Usage, m Marks, q Quote, err error) {
	q, err = r.record(a, plan, &u, &m)
	name := r.Asked.Model
	if err == nil && q.Model != r.Model().ID() {
		name = q.Model // as the ledger has it
	}
	m.leaveOut(name, r)
	return u, m, q, err
}

// leaveOut drops what the model's name in the charge says.
func (m *Marks) leaveOut(name string, r *Request) {
	if m.Held {
		return
	}
	m.entry, m.model = "", ""
	if known := (&Recorded{Model: name, At: r.at}).Entry(r.book); known != m.pricedBy {
		m.entry = entryMark(m.pricedBy)
	}
	if m.named != name {
		m.model = m.named
	}
}

// record prices an answer without the free tier, and fills in what to keep of it.
func (r *Request) record(a *Answer, plan *Plan, u *Usage, m *Marks) (Quote, error) {
	if a.Usage != nil {
		u.Tokens, u.Units = a.Usage.Tokens, slices.Clone(a.Usage.Units)
	}
	cost, err := r.cost(a, plan, FreeLeft{}, m)
	if err != nil {
		*m = Marks{Held: true}
	}
	m.leaveOut("", r)
	for _, q := range m.units {
		if i := slices.IndexFunc(u.Units, func(x UnitCount) bool { return x.Unit == q.Unit }); i >= 0 {
			u.Units[i] = q
		} else {
			u.Units = append(u.Units, q)
		}
	}
	return cost, err
}

// Quantities are all that was used, tokens first.
func (u *Usage) Quantities() []UnitCount { return u.AppendQuantities(nil) }

// AppendQuantities appends Quantities to a list.
func (u *Usage) AppendQuantities(list []UnitCount) []UnitCount {
	for k := range NumKinds {
		if n := u.Tokens[k]; n > 0 {
			list = append(list, UnitCount{k.String(), money.FromInt(uint64(n))}) //nolint:gosec // positive
		}
	}
	return append(list, u.Units...)
}

// Text is the quantities for people: "input=12 output=30 image=3".
func (u *Usage) Text() string {
	var parts []string
	for _, x := range u.Quantities() {
		parts = append(parts, x.Unit+"="+x.Count.String())
	}
	return strings.Join(parts, " ")
}

// RecordText is a record as text.
func RecordText(u *Usage, m *Marks) string {
	words := []string{}
	if used := u.Text(); used != "" {
		words = append(words, used)
	}
	for _, x := range m.List() {
		words = append(words, x.Name+":"+x.Value)
	}
	return strings.Join(words, " ")
}

// List is the marks one by one.
func (m *Marks) List() (list []Mark) {
	mark := func(name, value string) {
		if value != "" {
			list = append(list, Mark{name, value})
		}
	}
	if m.times.Set {
		mark("quantity", m.times.Value.String())
	}
	mark("tier", m.Tier)
	mark("adjust", strings.Join(m.Adjusts, ","))
	mark("plan", m.Plan)
	mark("entry", m.entry)
	mark("model", url.QueryEscape(m.model))
	if m.Held {
		mark("cost", "held")
	}
	if m.held.Set {
		mark("held", m.held.Value.String())
	}
	for _, part := range m.parts {
		mark("part", url.QueryEscape(part))
	}
	return list
}

// ReadRecord reads a record from its quantities and marks.
func ReadRecord(quantities []UnitCount, marks []Mark) (u Usage, m Marks, err error) {
	for _, q := range quantities {
		k, isToken := KindByName(q.Unit)
		if !isToken {
			u.Units = append(u.Units, q)
			continue
		}
		n, err := strconv.ParseUint(q.Count.String(), 10, 63)
		if err != nil {
			return u, m, fmt.Errorf("%s of %s is not a count of tokens", q.Count, q.Unit)
		}
		u.Tokens[k] = int64(n) //nolint:gosec // 63 bits
	}
	for _, x := range marks {
		if err := m.parse(x.Name, x.Value); err != nil {
			return u, m, err
		}
	}
	return u, m, nil
}

// ParseUsage reads the quantities of what a charge keeps; marks are left out.
func ParseUsage(text string) (Usage, error) {
	u, _, err := ParseRecord(text)
	return u, err
}

// ParseRecord reads what RecordText wrote.
func ParseRecord(text string) (u Usage, m Marks, err error) {
	var quantities []UnitCount
	var marks []Mark
	for part := range strings.FieldsSeq(text) {
		name, count, ok := strings.Cut(part, "=")
		if !ok {
			name, value, _ := strings.Cut(part, ":")
			marks = append(marks, Mark{name, value})
			continue
		}
		d, err := money.ParseDecimal(count)
		if err != nil {
			return u, m, fmt.Errorf("%q is not a quantity: %w", part, err)
		}
		quantities = append(quantities, UnitCount{name, d})
	}
	return ReadRecord(quantities, marks)
}

func (m *Marks) parse(name, value string) (err error) {
	if value == "" {
		return fmt.Errorf("%q is neither a quantity such as input=12 nor a mark such as tier:flex", name)
	}
	switch name {
	case "quantity":
		d, err := money.ParseDecimal(value)
		if err != nil {
			return fmt.Errorf("%q is not a quantity: %w", value, err)
		}
		m.times = Rate{d, true}
	case "tier":
		m.Tier = value
	case "adjust":
		m.Adjusts = strings.Split(value, ",")
	case "plan":
		m.Plan = value
	case "entry":
		m.entry = value
	case "model":
		m.model, err = url.QueryUnescape(value)
		return err
	case "held":
		d, err := money.ParseDecimal(value)
		m.held = Rate{d, true}
		return err
	case "part":
		part, err := url.QueryUnescape(value)
		if err != nil {
			return fmt.Errorf("%q is not the record of a part: %w", part, err)
		}
		m.parts = append(m.parts, part)
	case "cost":
		m.Held = value == "held"
	}
	return nil
}

// verdicts are the conditions that the record decides, by their texts: whole
// lists, and each entry of those that held. Nil if the record can't say.
func (rec *Recorded) verdicts() map[string]verdict {
	if rec.Made == nil || rec.Made.operations[rec.Operation] == nil {
		return nil
	}
	known := map[string]verdict{}
	note := func(list []Adjustment, whose string) {
		for i := range list {
			when := list[i].When
			if !slices.Contains(rec.Marks.Adjusts, whose+strconv.Itoa(i)) {
				known[when.Text()] = fails
				continue
			}
			known[when.Text()] = holds
			for j := range when.All {
				known[when.All[j].Text] = holds
			}
		}
	}
	if m := rec.Entry(rec.Made); m != nil {
		note(m.Adjust, "m")
	}
	note(rec.Made.operations[rec.Operation].Adjust, "o") // was looked at in any case; the model's perhaps not
	return known
}

// recall decides a list of conditions by a record: as it was decided then, else
// each by itself.
func (k *calculation) recall(cs *Conditions) (verdict, error) {
	if v, ok := k.known[cs.Text()]; ok {
		return v, nil
	}
	var missing error
	for i := range cs.All {
		c := &cs.All[i]
		v, ok := k.known[c.Text]
		switch {
		case ok:
		case k.recorded(c):
			v = c.decide(cs, &k.c)
		default:
			missing = ErrNotRecorded
			continue
		}
		if v != holds {
			return fails, nil
		}
	}
	return holds, missing
}

// recorded reports whether what a condition looks at is in the record.
func (k *calculation) recorded(c *Condition) bool {
	switch c.On {
	case OnModel, OnInputTokens, OnOutputTokens, OnHours, OnDays:
		return true
	case OnServiceTier:
		return k.c.tier != "?"
	case OnUnit:
		_, ok := k.c.quantity(c.Unit)
		return ok
	case OnField:
	}
	return false
}
