package jsonscan

import (
	"bytes"
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMembers: members, their order and their texts are those that the
// standard library reads.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":{"c":[1,{"d":"}"}]},"e":"\"}\\"}`, ` { "a" : null , "a" : true } `, `{"\u0061\ud83d\ude00\ud800x":"\u00e9\n"}`, `[]`, `{}`, `"x"`, `{"a":-1.5e3}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var got []string
		for key, value := range Members(doc) { // must not panic on anything
			got = append(got, Unescape(key), string(value))
		}
		if !json.Valid(doc) || !utf8.Valid(doc) {
			return
		}
		var want []string
		d := json.NewDecoder(bytes.NewReader(doc))
		if open, _ := d.Token(); open == json.Delim('{') {
			for d.More() {
				key, err := d.Token()
				var raw json.RawMessage
				if err != nil || d.Decode(&raw) != nil {
					t.Fatalf("%q: %v", doc, err)
				}
				want = append(want, key.(string), string(raw))
			}
		}
		if strings.Join(got, "\x00") != strings.Join(want, "\x00") {
			t.Fatalf("%q: members %q, encoding/json reads %q", doc, got, want)
		}
	})
}

func TestGet(t *testing.T) {
	doc := []byte(`{"a":{"b":{"c":7},"x":1},"a.b":2,"n":null}`)
	for path, want := range map[string]string{"a.b.c": "7", "a.x": "1", "a.y": "", "a.b.c.d": "", "n": "null", "": string(doc)} {
		if got := string(Get(doc, path)); got != want {
			t.Errorf("Get(%q) = %q, want %q", path, got, want)
		}
	}
}

// FuzzTruncator: what is kept does not depend on the pieces, is valid, and differs from the
// document in long strings only.
func FuzzTruncator(f *testing.F) {
	long := strings.Repeat("x", MaxString-8)
	for _, s := range []string{`{"a":"b"}`, `{"a":"` + long + `\u00e9\u00e9\"\n"}`, `["` + long + long + `",1]`, `{"a":"` + strings.Repeat(`\\`, MaxString) + `"}`} {
		f.Add([]byte(s), uint64(1))
	}
	f.Fuzz(func(t *testing.T, doc []byte, seed uint64) {
		var whole, pieces Truncator
		whole.Write(doc)
		random := rand.New(rand.NewPCG(seed, 0))
		for rest := doc; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			pieces.Write(rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(whole.Bytes(), pieces.Bytes()) {
			t.Fatalf("kept %d bytes at once, %d in pieces", len(whole.Bytes()), len(pieces.Bytes()))
		}
		if !json.Valid(doc) || bytes.Count(doc, []byte("["))+bytes.Count(doc, []byte("{")) > maxDepth {
			return
		}
		if !json.Valid(whole.Bytes()) || !whole.Complete() {
			t.Fatalf("%.100q became %.100q", doc, whole.Bytes())
		}
		if len(doc) <= MaxString && !bytes.Equal(doc, whole.Bytes()) {
			t.Fatalf("%q became %q", doc, whole.Bytes())
		}
	})
}

func TestTruncatorSaysWhatItDropped(t *testing.T) {
	var d Truncator
	d.Write([]byte(`{"a":"` + strings.Repeat("x", MaxString+1000) + `","b":"short"}`))
	if n := d.Dropped(Content(Get(d.Bytes(), "a"))); n != 1000 {
		t.Errorf("dropped %d bytes of a, want 1000", n)
	}
	if n := d.Dropped(Content(Get(d.Bytes(), "b"))); n != 0 {
		t.Errorf("dropped %d bytes of b, want 0", n)
	}
	if d.Reset(); len(d.Bytes()) != 0 || d.InString() || d.Overflow() {
		t.Error("something is left after Reset")
	}
}

func TestTruncatorGivesUp(t *testing.T) {
	var d Truncator
	d.Write(make([]byte, maxKept+1))
	d.Write([]byte("1"))
	if !d.Overflow() || d.Complete() {
		t.Errorf("overflow %v, complete %v", d.Overflow(), d.Complete())
	}
}

// TestIntIsExact compares with big.Rat.
func TestIntIsExact(t *testing.T) {
	const limit = 1 << 40
	for _, text := range []string{
		"0", "7", "12.0", "12.01", "1e4", "1.5e3", "25e-1", "0.0001", "-3", "-3.5", "1e12", "1099511627776", "1099511627777", "1e18", "00012", "1E+2",
	} {
		for _, scale := range []int64{1, 1000} {
			r, _ := new(big.Rat).SetString(text)
			r.Mul(r, new(big.Rat).SetInt64(scale))
			want := new(big.Int)
			rest := new(big.Int)
			want.QuoRem(r.Num(), r.Denom(), rest)
			if rest.Sign() > 0 {
				want.Add(want, big.NewInt(1))
			}
			fits := want.CmpAbs(big.NewInt(limit*scale)) <= 0
			n, ok := Int([]byte(text), scale, limit)
			if ok != fits || ok && want.Cmp(big.NewInt(n)) != 0 {
				t.Errorf("Int(%s, %d) = %d, %v; want %s, %v", text, scale, n, ok, want, fits)
			}
		}
	}
	for _, text := range []string{"", "-", ".5", "1e", "1e99", "e5", "1x", "+1", "true", "NaN", "1e+-2", strings.Repeat("9", 41)} {
		if n, ok := Int([]byte(text), 1, limit); ok {
			t.Errorf("Int(%q) = %d", text, n)
		}
	}
}
