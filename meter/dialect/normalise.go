package dialect

// This file turns what an upstream reports into a usage whose parts never exceed their whole, for any numbers. Each rule
// is one function; TestPartsNeverExceedTheWhole holds them to it over random reports.

// usageOf applies the API's conventions to the reported counts.
func (p *profile) usageOf(c *counts) Usage {
	if c.bad {
		return Usage{}
	}
	g := func(k count) Count { return c.c[k] }
	u := Usage{
		InputTotal: g(cInput), CacheRead: g(cCacheRead), CacheWrite: g(cCacheWrite), CacheWrite5m: g(cCacheWrite5m), CacheWrite1h: g(cCacheWrite1h),
		ToolUse: g(cToolUse), TextIn: g(cTextIn), AudioIn: g(cAudioIn), ImageIn: g(cImageIn), VideoIn: g(cVideoIn),
		CachedTextIn: g(cCachedTextIn), CachedAudioIn: g(cCachedAudioIn), CachedImageIn: g(cCachedImageIn), CachedVideoIn: g(cCachedVideoIn),
		OutputTotal: g(cOutput), Reasoning: g(cReasoning), AudioOut: g(cAudioOut), ImageOut: g(cImageOut), VideoOut: g(cVideoOut), Citation: g(cCitation),
		Requests: Requests{g(cWebSearch), g(cWebFetch), g(cSearch), g(cSources)},
		Units:    Units{g(cImages), g(cVideos), g(cMillis), g(cPages), g(cCharacters), g(cSearchUnits)},
		CostUSD:  c.cost,
	}
	if split := u.CacheWrite5m.N + u.CacheWrite1h.N; split > u.CacheWrite.N {
		u.CacheWrite = Count{split, true}
	}
	if p.pictures && !u.ImageOut.OK {
		u.ImageOut = u.OutputTotal
	}
	total := g(cTotal)
	u.completeInput(p, total)
	u.completeOutput(p, total)
	if p.output == outputRest || p.output == outputAdded && u.InputTotal.OK {
		u.InputTotal.N += u.ToolUse.N
	}
	u.fitParts()
	return u
}

// completeInput makes the input cover what was read from caches, written to them and heard.
func (u *Usage) completeInput(p *profile, total Count) {
	switch {
	case !u.InputTotal.OK && p.output == outputZero:
		if u.InputTotal = total; !total.OK {
			u.InputTotal = u.ImageIn // Cohere embeds pictures without text
		}
	case !u.InputTotal.OK:
	case p.exclusive:
		u.InputTotal.N += u.CacheRead.N + u.CacheWrite.N
	default:
		u.InputTotal.N += u.outside(total)
	}
}

// outside is the part of the input that an upstream reports in addition to its input count instead of within it. The total shows
// it, or a part that is larger than the whole.
func (u *Usage) outside(total Count) int64 {
	cache, audio := u.CacheRead.N+u.CacheWrite.N, u.AudioIn.N
	rest := total.N - u.InputTotal.N - u.OutputTotal.N - u.ToolUse.N
	if total.OK && rest > 0 && rest != u.Reasoning.N {
		for _, x := range [...]int64{cache, audio, cache + audio} {
			if x > 0 && (rest == x || rest == x+u.Reasoning.N) {
				return x
			}
		}
	}
	switch {
	case cache > u.InputTotal.N:
		return cache
	case audio > u.InputTotal.N:
		return audio
	case u.ImageIn.N > u.InputTotal.N:
		return u.ImageIn.N
	}
	return 0
}

// completeOutput makes the output cover the reasoning. It grows beyond what is reported by reasoning alone: a total may hold
// anything.
func (u *Usage) completeOutput(p *profile, total Count) {
	rest := total.N - u.InputTotal.N - u.ToolUse.N
	switch p.output {
	case outputZero:
		if u.InputTotal.OK {
			u.OutputTotal = Count{0, true}
		}
	case outputOmits:
		if u.InputTotal.OK || u.OutputTotal.OK {
			u.InputTotal.OK, u.OutputTotal.OK = true, true
		}
	case outputAdded:
		if u.OutputTotal.OK {
			u.OutputTotal.N += u.Reasoning.N
		}
	case outputMax, outputRest:
		known := total.OK && u.InputTotal.OK
		switch {
		case !u.OutputTotal.OK && known:
			u.OutputTotal = Count{max(rest, 0), true}
		case !u.OutputTotal.OK && u.Reasoning.N > 0:
			u.OutputTotal = u.Reasoning
		case !u.OutputTotal.OK:
		case u.Citation.OK: // Sonar Deep Research: each is billed by itself, and the total has neither
			u.OutputTotal.N += u.Reasoning.N
		case known && rest > u.OutputTotal.N:
			u.OutputTotal.N += min(rest-u.OutputTotal.N, u.Reasoning.N)
		case p.output == outputRest && !known, u.Reasoning.N > u.OutputTotal.N:
			u.OutputTotal.N += u.Reasoning.N
		}
	case outputAsIs:
	}
}

// fitParts cuts parts that exceed what is left of their whole.
func (u *Usage) fitParts() {
	cut := func(left int64, parts ...*Count) {
		for _, c := range parts {
			c.N = max(min(c.N, left), 0)
			left -= c.N
		}
	}
	cut(u.InputTotal.N, &u.CacheRead, &u.CacheWrite)
	cut(u.CacheWrite.N, &u.CacheWrite1h, &u.CacheWrite5m)
	cut(u.InputTotal.N, &u.AudioIn, &u.ImageIn, &u.VideoIn)
	cut(u.CacheRead.N, &u.CachedAudioIn, &u.CachedImageIn, &u.CachedVideoIn, &u.CachedTextIn)
	cut(u.AudioIn.N, &u.CachedAudioIn)
	cut(u.ImageIn.N, &u.CachedImageIn)
	cut(u.VideoIn.N, &u.CachedVideoIn)
	cut(u.OutputTotal.N, &u.Reasoning, &u.AudioOut, &u.ImageOut, &u.VideoOut)
}

// plus adds the usage of a hosted tool.
func (u Usage) plus(v Usage) Usage {
	sum := func(a *Count, b Count) { *a = Count{min(a.N+b.N, maxCount), a.OK || b.OK} }
	sum(&u.InputTotal, v.InputTotal)
	sum(&u.CacheRead, v.CacheRead)
	sum(&u.CacheWrite, v.CacheWrite)
	sum(&u.TextIn, v.TextIn)
	sum(&u.AudioIn, v.AudioIn)
	sum(&u.ImageIn, v.ImageIn)
	sum(&u.OutputTotal, v.OutputTotal)
	sum(&u.Reasoning, v.Reasoning)
	sum(&u.ImageOut, v.ImageOut)
	return u
}

// Token is a disjoint part of a usage, by the name that price files use.
type Token struct {
	Kind string
	N    int64
}

// The kinds of input in the order in which a cache is taken from them where the answer does not say what was cached: a cache
// holds the beginning of a prompt, which is text.
const (
	mText = iota
	mVideo
	mImage
	mAudio
)

// Disjoint splits the totals into parts that do not overlap, so that each is priced once and their sum is the totals. Kinds
// with no tokens are left out. Everything read from a cache is cached_input, except audio that the answer
// reports as cached.
func (u Usage) Disjoint() []Token { return u.AppendDisjoint(make([]Token, 0, 4)) }

// AppendDisjoint appends Disjoint to a list.
func (u *Usage) AppendDisjoint(parts []Token) []Token {
	fresh := [4]int64{
		mText:  max(u.InputTotal.N-u.VideoIn.N-u.ImageIn.N-u.AudioIn.N, 0),
		mVideo: u.VideoIn.N - u.CachedVideoIn.N, mImage: u.ImageIn.N - u.CachedImageIn.N, mAudio: u.AudioIn.N - u.CachedAudioIn.N,
	}
	take := func(n int64) {
		for i := range fresh {
			x := min(n, fresh[i])
			fresh[i], n = fresh[i]-x, n-x
		}
	}
	take(u.CacheRead.N - u.CachedVideoIn.N - u.CachedImageIn.N - u.CachedAudioIn.N)
	take(u.CacheWrite.N)
	all := [...]Token{
		{"input", fresh[mText]},
		{"cached_input", u.CacheRead.N - u.CachedAudioIn.N},
		{"cache_write", u.CacheWrite.N - u.CacheWrite1h.N},
		{"cache_write_1h", u.CacheWrite1h.N},
		{"audio_input", fresh[mAudio]},
		{"image_input", fresh[mImage]},
		{"video_input", fresh[mVideo]},
		{"cached_audio_input", u.CachedAudioIn.N},
		{"output", u.OutputTotal.N - u.Reasoning.N - u.AudioOut.N - u.ImageOut.N - u.VideoOut.N},
		{"reasoning", u.Reasoning.N},
		{"audio_output", u.AudioOut.N},
		{"image_output", u.ImageOut.N},
		{"video_output", u.VideoOut.N},
		{"citation", u.Citation.N},
	}
	for _, t := range all {
		if t.N > 0 {
			parts = append(parts, t)
		}
	}
	return parts
}
