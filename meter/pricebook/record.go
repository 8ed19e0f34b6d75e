package pricebook

import (
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// UsageOf is the record of a price as the ledger keeps it.
func UsageOf(u *pricing.Usage, m *pricing.Marks) (kept ledger.Usage) {
	var room [8]pricing.UnitCount
	if used := u.AppendQuantities(room[:0]); len(used) > 0 {
		kept.Quantities = make([]ledger.Quantity, len(used))
		for i, q := range used {
			kept.Quantities[i] = ledger.Quantity{Unit: q.Unit, Count: q.Count}
		}
	}
	for _, x := range m.List() {
		kept.Marks = append(kept.Marks, ledger.Mark{Name: x.Name, Value: x.Value})
	}
	return kept
}

// ReadUsage reads what UsageOf made.
func ReadUsage(kept ledger.Usage) (pricing.Usage, pricing.Marks, error) {
	quantities := make([]pricing.UnitCount, len(kept.Quantities))
	for i, q := range kept.Quantities {
		quantities[i] = pricing.UnitCount{Unit: q.Unit, Count: q.Count}
	}
	marks := make([]pricing.Mark, len(kept.Marks))
	for i, x := range kept.Marks {
		marks[i] = pricing.Mark{Name: x.Name, Value: x.Value}
	}
	return pricing.ReadRecord(quantities, marks)
}
