package pricing

// Where only the answer says which model has worked, the hold is that of the
// dearest of those that it may name.

// answeringModels are the models that an answer may name, of those that can be
// the dearest.
func (b *Book) answeringModels(op *Operation) (list []*Model) {
	for _, m := range b.Models {
		if m.pricesSome(op) {
			list = append(list, m)
		}
	}
	return dearest(list)
}

// pricesSome reports whether an entry prices requests of the operation on
// some of its paths.
func (m *Model) pricesSome(op *Operation) bool {
	for i := range op.Match {
		if m.prices(op, op.Match[i].Path) {
			return true
		}
	}
	for _, u := range m.Table.Units {
		if op.MayReport(u.Unit) {
			return true
		}
	}
	return false
}

// dearest drops the candidates that can never be the dearest: those without
// adjustments that another one without adjustments, and without a ceiling, is
// at least as dear as in everything. Of thousands of models a few are left.
func dearest(list []*Model) []*Model {
	var kept []*Model
	for i, m := range list {
		beaten := false
		for j, o := range list {
			if i != j && m.beatenBy(o) && (!o.beatenBy(m) || i >= j) {
				beaten = true
				break
			}
		}
		if !beaten {
			kept = append(kept, m)
		}
	}
	return kept
}

func (m *Model) beatenBy(o *Model) bool {
	if len(m.Adjust)+len(o.Adjust)+len(m.Reserve)+len(o.Reserve) > 0 || !m.EffectiveFrom.Equal(o.EffectiveFrom) || o.Table.Maximum.Set ||
		m.MaxOutputTokens != o.MaxOutputTokens && o.MaxOutputTokens != 0 && (m.MaxOutputTokens == 0 || m.MaxOutputTokens > o.MaxOutputTokens) ||
		m.MaxOutputTokens != 0 && o.MaxOutputTokens == 0 {
		return false
	}
	if m.Table.Request.Value.Cmp(o.Table.Request.Value) > 0 || m.Table.Minimum.Value.Cmp(o.Table.Minimum.Value) > 0 {
		return false
	}
	for k := range NumKinds {
		mine, _ := m.Table.Token(k)
		other, _ := o.Table.Token(k)
		if mine.Cmp(other) > 0 {
			return false
		}
	}
	for _, u := range m.Table.Units {
		if other, _ := o.Table.Unit(u.Unit); u.Rate.Cmp(other) > 0 {
			return false
		}
	}
	return true
}
