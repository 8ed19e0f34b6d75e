package usage

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/store"
)

// ErrFormat is a row that this version cannot read.
var ErrFormat = errors.New("the usage row is damaged or of another format")

// Name is the key's form in a store: it sorts by time.
func (k *Key) Name() string {
	parts := []string{k.Operation, k.Feature, k.Model, k.Member, k.APIKey}
	for _, l := range k.Labels {
		parts = append(parts, l.Name, l.Value)
	}
	return store.Sequence(slot(k.At)) + store.Tuple(parts...)
}

// slot is the number of t's slot since 1970.
func slot(t time.Time) uint64 {
	return uint64(max(0, t.Unix()/int64(Slot/time.Second))) //nolint:gosec // not negative
}

func startOf(slot uint64) time.Time {
	return time.Unix(int64(slot)*int64(Slot/time.Second), 0).UTC() //nolint:gosec // a slot that Name wrote
}

// ParseName reads what Name wrote.
func ParseName(name string) (Key, error) {
	n, rest, ok := store.ParseSequence(name)
	f, whole := store.ParseTuple(rest)
	if !ok || !whole || len(f) < 5 || len(f)%2 == 0 {
		return Key{}, ErrFormat
	}
	k := Key{
		At:        startOf(n),
		Operation: f[0], Feature: f[1], Model: f[2], Member: f[3], APIKey: f[4],
	}
	for f = f[5:]; len(f) > 0; f = f[2:] {
		k.Labels = append(k.Labels, ledger.Label{Name: f[0], Value: f[1]})
	}
	return k, nil
}

// rowVersion is the format of a row's value.
const rowVersion = 1

// Append encodes a sum. The same sum always gives the same bytes.
func (s *Sum) Append(b []byte) []byte {
	b = append(b, rowVersion)
	for _, n := range []int64{s.Requests, s.Failed, s.Estimated, int64(s.Cost), int64(s.Refunded), int64(s.Absorbed), int64(len(s.Units))} {
		b = binary.AppendVarint(b, n)
	}
	for _, u := range s.Units {
		b = binary.AppendUvarint(b, uint64(len(u.Unit)))
		b = append(b, u.Unit...)
		var room [48]byte
		count := u.Count.Append(room[:0])
		b = binary.AppendUvarint(b, uint64(len(count)))
		b = append(b, count...)
	}
	return b
}

// Decode reads what Append wrote.
func Decode(b []byte) (s Sum, err error) {
	err = s.decode(b, nil)
	return s, err
}

// decode reads a row into s, whose units it overwrites. It takes names of units
// from known, and adds those that are not there; known may be nil.
func (s *Sum) decode(b []byte, known map[string]string) (err error) {
	if len(b) == 0 || b[0] != rowVersion {
		return ErrFormat
	}
	b = b[1:]
	var n [7]int64
	for i := range n {
		size := 0
		if n[i], size = binary.Varint(b); size <= 0 {
			return ErrFormat
		}
		b = b[size:]
	}
	*s = Sum{Requests: n[0], Failed: n[1], Estimated: n[2], Cost: money.Amount(n[3]), Refunded: money.Amount(n[4]), Absorbed: money.Amount(n[5]), Units: s.Units[:0]}
	for range n[6] {
		unit, rest, ok := text(b)
		if !ok {
			return ErrFormat
		}
		count, rest, ok := text(rest)
		if !ok {
			return ErrFormat
		}
		b = rest
		name, seen := known[string(unit)]
		if !seen {
			if name = string(unit); known != nil {
				known[name] = name
			}
		}
		number, err := money.ParseDecimal(string(count))
		if err != nil {
			return ErrFormat
		}
		s.Units = append(s.Units, ledger.Quantity{Unit: name, Count: number})
	}
	if len(b) > 0 {
		return ErrFormat
	}
	return nil
}

// text is a length and as many bytes.
func text(b []byte) (value, rest []byte, ok bool) {
	size, l := binary.Uvarint(b)
	if l <= 0 || size > uint64(len(b)-l) { //nolint:gosec // not negative: l bytes were there
		return nil, nil, false
	}
	return b[l : l+int(size)], b[l+int(size):], true //nolint:gosec // bounded by the line above
}

func (s *Sum) sort() {
	slices.SortFunc(s.Units, func(a, b ledger.Quantity) int { return strings.Compare(a.Unit, b.Unit) })
}
