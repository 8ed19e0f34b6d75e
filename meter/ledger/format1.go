package ledger

import (
	"strconv"
	"strings"
	"time"

	"github.com/farebox-dev/farebox/meter/calendar"
	"github.com/farebox-dev/farebox/meter/money"
)

// Records of version 1 kept several values in one string. Migration rewrites
// them, but never the journal: its hashes are made of the bytes that were
// written. So entries of version 1 are read for as long as there are any.

// Outdated reports whether a stored record has version 1.
func Outdated(record []byte) bool { return len(record) > 0 && record[0] == 1 }

// line1 reads "plan#line type".
func line1(text string) LineID {
	i := strings.LastIndexByte(text, '#')
	if i < 0 {
		return LineID{Type: text}
	}
	number, typ, _ := strings.Cut(text[i+1:], " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return LineID{Type: text}
	}
	return LineID{Plan: text[:i], Line: n, Type: typ}
}

// origin1 reads a grant's id and source.
func origin1(id GrantID, source string) Origin {
	if i := instance1(id); i.Plan != "" {
		if strings.HasPrefix(string(id), keptGrants) {
			return Origin{Kind: FromRollover, Instance: i}
		}
		return Origin{Kind: FromPlan, Instance: i}
	}
	if pack, ok := strings.CutPrefix(source, "pack "); ok {
		return Origin{Kind: FromPack, Pack: pack}
	}
	if charge, ok := strings.CutPrefix(source, "returned by charge "); ok {
		return Origin{Kind: FromCharge, Charge: ChargeID(charge)}
	}
	return Origin{}
}

// instance1 reads "plan:plan#line type:start" and "kept:…", where a suffix may
// follow the start.
func instance1(id GrantID) Instance {
	rest, ok := strings.CutPrefix(string(id), planGrants)
	if !ok {
		if rest, ok = strings.CutPrefix(string(id), keptGrants); !ok {
			return Instance{}
		}
	}
	schedule, rest, _ := strings.Cut(rest, ":")
	instant, _, _ := strings.Cut(rest, "Z")
	start, err := time.Parse(time.RFC3339Nano, instant+"Z")
	if err != nil {
		return Instance{}
	}
	return Instance{LineID: line1(schedule), Start: start}
}

// counter1 reads "free plan counter" and "cap plan per every who".
func counter1(text string) CounterKey {
	if word := strings.SplitN(text, " ", 3); len(word) == 3 && word[0] == "free" {
		return CounterKey{Plan: word[1], Free: word[2]}
	}
	word := strings.SplitN(text, " ", 5)
	if len(word) < 5 {
		return CounterKey{Free: text}
	}
	every, _ := calendar.ParseUnit(word[3])
	k := CounterKey{Plan: word[1], Per: word[2], Every: every}
	if k.Per != "account" {
		k.Who = word[4]
	}
	return k
}

// alert1 reads "plan", NUL, "threshold", and perhaps NUL, "lifted".
func alert1(text string) AlertKey {
	plan, rest, _ := strings.Cut(text, "\x00")
	threshold, lifted := strings.CutSuffix(rest, "\x00lifted")
	return AlertKey{Plan: plan, Threshold: threshold, Lifted: lifted}
}

// labels1 reads "name=value" pairs between tabs.
func labels1(text string) (labels []Label) {
	for pair := range strings.SplitSeq(text, "\t") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			labels = append(labels, Label{name, value})
		}
	}
	return labels
}

// usage1 reads "input=12 output=30 tier:flex".
func usage1(text string) (u Usage) {
	for word := range strings.FieldsSeq(text) {
		if unit, count, ok := strings.Cut(word, "="); ok {
			if n, err := money.ParseDecimal(count); err == nil {
				u.Quantities = append(u.Quantities, Quantity{unit, n})
				continue
			}
		}
		name, value, _ := strings.Cut(word, ":")
		u.Marks = append(u.Marks, Mark{name, value})
	}
	return u
}

// flags1 takes out the flag of credits that were carried over.
func flags1(flags uint64) uint64 { return flags&0xf | flags>>5<<4 }
