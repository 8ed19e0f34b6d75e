package pricing

// Operation is the operation of the request, nil if it has none and is free.
func (r *Request) Operation() *Operation { return r.op }

// Model is the entry that prices the request before its answer is known, nil
// if none does.
func (r *Request) Model() *Model {
	if !r.priced {
		return nil
	}
	return r.entry
}

// Free reports whether the request costs nothing whatever it uses.
func (r *Request) Free() bool { return r.op == nil || r.op.Free }

// TokenPriced reports whether the price depends on tokens.
func (r *Request) TokenPriced() bool {
	switch {
	case r.op == nil || r.op.Free:
		return false
	case r.op.Price.Table.HasTokens():
		return true
	case r.priced && r.entry.tokenPriced():
		return true
	case r.op.ModelFrom != nil && r.op.ModelFrom.InAnswer() && r.op.Price.ByModel:
		return true
	}
	return anyTokens(r.op.Adjust)
}

func (m *Model) tokenPriced() bool { return m.Table.HasTokens() || anyTokens(m.Adjust) }

func anyTokens(list []Adjustment) bool {
	for i := range list {
		if list[i].Rates != nil && list[i].Rates.HasTokens() {
			return true
		}
	}
	return false
}

// ID is the key of an entry, "" of none.
func (m *Model) ID() string {
	if m == nil {
		return ""
	}
	return m.Key
}

// PricesUnseen reports whether the entry has a rate for tokens that a stream
// does not show as text. A nil entry has none.
func (m *Model) PricesUnseen() bool {
	if m == nil {
		return false
	}
	for _, k := range []Kind{Reasoning, AudioOutput, ImageOutput, VideoOutput} {
		if m.Table.Tokens[k].Set {
			return true
		}
	}
	return false
}

// InputBound is the most input tokens that one request to the model can have, 0
// if the file does not say.
func (m *Model) InputBound() int64 {
	if m == nil {
		return 0
	}
	return m.MaxInputTokens
}

// WorstBound is the most output tokens that one answer can have: what the
// request asks for, else the model's own maximum. Known is false if the file
// says neither; then it is what is reserved.
func (r *Request) WorstBound() (bound int64, known bool) {
	m := r.Model()
	return r.largestBound(), r.Asked.Limited || m != nil && m.MaxOutputTokens > 0
}

// outputBound is how many output tokens of one answer are held.
func (r *Request) outputBound(m *Model) int64 {
	p := &r.book.Policies
	bound := p.ReserveOutputTokens
	switch {
	case p.HoldCeiling && r.Asked.Limited:
		bound = r.Asked.OutputLimit
	case p.HoldCeiling && m != nil && m.MaxOutputTokens > 0:
		bound = m.MaxOutputTokens
	case r.Asked.Limited:
		bound = min(bound, r.Asked.OutputLimit)
	}
	if m != nil && m.MaxOutputTokens > 0 {
		bound = min(bound, m.MaxOutputTokens)
	}
	return bound
}
