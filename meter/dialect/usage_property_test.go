package dialect

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// usageRounds is how many random reports are read in all.
func usageRounds() int {
	if testing.Short() {
		return 100_000
	}
	return 1_000_000
}

// reporting are the APIs whose answers report tokens in one object.
func reporting() (list []*profile) {
	for _, p := range profiles {
		if len(p.usage) > 0 && len(p.fields) > 0 && !p.sum && !p.free && !p.lines && p.job == nil && p != &bedrockInvoke {
			list = append(list, p)
		}
	}
	return list
}

// Whatever an upstream reports, no part of the input or the output exceeds its whole, no token is in two kinds, and the kinds
// add up to the totals.
func TestPartsNeverExceedTheWhole(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 11))
	apis := reporting()
	for i := range usageRounds() {
		p := apis[i%len(apis)]
		var c counts
		for _, f := range p.fields {
			if rnd.IntN(3) == 0 {
				c.c[f.to] = Count{randomCount(rnd), true}
			}
		}
		checkWhole(t, p, &c)
		if t.Failed() {
			t.Fatalf("%s, report %d: %+v", p.name, i, c)
		}
	}
}

func randomCount(rnd *rand.Rand) int64 {
	switch rnd.IntN(4) {
	case 0:
		return 0
	case 1:
		return rnd.Int64N(10)
	}
	return rnd.Int64N(100_000)
}

func checkWhole(t *testing.T, p *profile, c *counts) {
	t.Helper()
	u := p.usageOf(c)
	var in, out int64
	for _, k := range u.Disjoint() {
		if k.N <= 0 {
			t.Errorf("%s is %d", k.Kind, k.N)
		}
		switch {
		case k.Kind == "citation": // not a part of the output
		case k.Kind == "output" || k.Kind == "reasoning" || strings.HasSuffix(k.Kind, "_output"):
			out += k.N
		default:
			in += k.N
		}
	}
	if in != u.InputTotal.N || out != u.OutputTotal.N {
		t.Errorf("the kinds add up to %d and %d, the totals are %d and %d: %+v", in, out, u.InputTotal.N, u.OutputTotal.N, u.Disjoint())
	}
	if !u.OutputTotal.OK {
		return
	}
	most := c.c[cOutput].N + c.c[cReasoning].N
	if !c.c[cOutput].OK { // then the total is all that there is
		most = max(most, c.c[cTotal].N)
	}
	if p.output != outputZero && u.OutputTotal.N > most {
		t.Errorf("output %d, reported %d with %d of reasoning", u.OutputTotal.N, c.c[cOutput].N, c.c[cReasoning].N)
	}
}

// The same report is the same usage as a JSON answer and at the end of a stream, and an event that repeats it as zeros, or
// leaves it out, changes nothing.
func TestStreamsCountAsJSON(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 5))
	rounds := usageRounds() / 20
	for _, p := range reporting() {
		if p.output == outputZero || p.noUsage || p.exclusive && len(p.usage) > 1 && p.usage[0].base == "message." && p.name == "bedrock-invoke" {
			continue
		}
		at := p.usage[len(p.usage)-1]
		for _, x := range p.usage {
			if x.base == "" && !x.tool && !strings.Contains(x.path, ".0.") && !strings.HasPrefix(x.path, "x_") {
				at = x
			}
		}
		if at.base != "" {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			for range rounds / 40 {
				usage, zeros := randomUsage(rnd, p)
				whole := streamed(p, under(at, usage))
				again := streamed(p, under(at, usage), under(at, zeros), `{"id":"x"}`)
				body := bodyOf(p, under(at, usage))
				if !slices.Equal(whole.Disjoint(), body.Disjoint()) || !slices.Equal(whole.Disjoint(), again.Disjoint()) {
					t.Fatalf("%s:\nJSON          %+v\nstream        %+v\nthen zeros    %+v", under(at, usage), body.Disjoint(), whole.Disjoint(), again.Disjoint())
				}
			}
		})
	}
}

// randomUsage fills some of the API's plain fields, and repeats them as zeros.
func randomUsage(rnd *rand.Rand, p *profile) (usage, zeros map[string]any) {
	usage, zeros = map[string]any{}, map[string]any{}
	for _, f := range p.fields {
		if strings.Contains(f.path, "#") || rnd.IntN(3) > 0 && f.to > cTotal {
			continue
		}
		put(usage, f.path, randomCount(rnd))
		put(zeros, f.path, 0)
	}
	return usage, zeros
}

func put(into map[string]any, path string, n int64) {
	name, rest, deep := strings.Cut(path, ".")
	if !deep {
		into[name] = n
		return
	}
	below, ok := into[name].(map[string]any)
	if !ok {
		below = map[string]any{}
		into[name] = below
	}
	put(below, rest, n)
}

// under puts a usage where the API reports it.
func under(at place, usage map[string]any) string {
	var doc any = usage
	if at.path != "" {
		names := strings.Split(at.path, ".")
		slices.Reverse(names)
		for _, name := range names {
			doc = map[string]any{name: doc}
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func streamed(p *profile, docs ...string) Usage {
	r := p.api(matched{}).NewReader(200, map[string][]string{"Content-Type": {"text/event-stream"}}, ReaderOptions{})
	for _, d := range docs {
		r.Write([]byte("data: " + d + "\n\n"))
	}
	r.Close()
	return r.Result().Usage
}

func bodyOf(p *profile, doc string) Usage {
	r := p.api(matched{}).NewReader(200, map[string][]string{"Content-Type": {"application/json"}}, ReaderOptions{})
	r.Write([]byte(doc))
	r.Close()
	return r.Result().Usage
}
