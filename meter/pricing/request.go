package pricing

// Operation is the operation of the request, nil if it has none and is free.
func (r *Request) Operation() *Operation { return r.op }

// ModelAsked is the model as the request names it; "" if it names none, or if
// neither its price nor any selector looks at it.
func (r *Request) ModelAsked() string { return r.model }

// Model is the entry that prices the request before its answer is known, nil
// if none does.
func (r *Request) Model() *Model {
	if !r.priced {
		return nil
	}
	return r.entry
}

// ModelKey is the key of Model, "" if there is none.
func (r *Request) ModelKey() string {
	if m := r.Model(); m != nil {
		return m.Key
	}
	return ""
}

// API is the api of the operation: auto, openai, anthropic, gemini or other.
func (r *Request) API() string {
	if r.op == nil {
		return "auto"
	}
	return r.op.API
}

// Path is the clean path, decoded, in its original case.
func (r *Request) Path() string { return r.path }

// ServiceTier is the service tier that was asked for, if a price depends on it.
func (r *Request) ServiceTier() string { return r.tier }

// JSON reports whether something was read in the body, as one JSON document.
func (r *Request) JSON() bool { return r.json }

// Free reports whether the request costs nothing whatever it uses.
func (r *Request) Free() bool { return r.op == nil || r.op.Free }

// Labels are the extra report columns of the request; nil if it has none.
func (r *Request) Labels() map[string]string {
	var labels map[string]string
	for i := range r.book.Labels {
		l := &r.book.Labels[i]
		if v := &r.values[l.Field.slot]; r.op != nil && v.Kind != absent && v.Kind != otherValue {
			if labels == nil {
				labels = make(map[string]string, len(r.book.Labels))
			}
			labels[l.Name] = v.Text
		}
	}
	return labels
}

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

// OutputLimit is the request's own limit for the tokens of one answer.
func (r *Request) OutputLimit() (limit int64, given bool) { return r.limit, r.limited }

// Answers is how many answers are asked for: body.n where the API has it.
func (r *Request) Answers() int64 { return r.answers }

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

// Limits is told what the API of the request reads: its own limit for the
// tokens of one answer, if it has one, and how many answers it makes of it.
// Fields that only other APIs know count for nothing then.
func (r *Request) Limits(limit int64, limited bool, answers int64) {
	r.limit, r.limited, r.answers = limit, limited, max(answers, 1)
}

// May is told which kinds of tokens the input and the output of the request may
// turn out to be. Holds count each side at the dearest of them.
func (r *Request) May(kinds ...Kind) {
	for _, k := range kinds {
		r.may |= 1 << k
	}
}

// WorstBound is the most output tokens that one answer can have: what the
// request asks for, else the model's own maximum. Known is false if the file
// says neither; then it is what is reserved.
func (r *Request) WorstBound() (bound int64, known bool) {
	m := r.Model()
	return r.largestBound(), r.limited || m != nil && m.MaxOutputTokens > 0
}

// OutputBound is how many output tokens of one answer are held.
func (r *Request) OutputBound() int64 { return r.outputBound(r.Model()) }

func (r *Request) outputBound(m *Model) int64 {
	p := &r.book.Policies
	bound := p.ReserveOutputTokens
	switch {
	case p.HoldCeiling && r.limited:
		bound = r.limit
	case p.HoldCeiling && m != nil && m.MaxOutputTokens > 0:
		bound = m.MaxOutputTokens
	case r.limited:
		bound = min(bound, r.limit)
	}
	if m != nil && m.MaxOutputTokens > 0 {
		bound = min(bound, m.MaxOutputTokens)
	}
	return bound
}
