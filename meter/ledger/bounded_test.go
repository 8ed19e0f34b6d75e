package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/input"
)

// commands are all there are; TestEveryCommandIsBounded counts them in the source.
var commands = []Command{
	SetAlerts{}, Touch{}, Open{}, Erase{}, Import{}, SetAttributes{}, Give{}, Void{}, SetPlan{}, Cancel{}, Renew{}, Refund{}, Reserve{}, Extend{}, Observe{}, Settle{}, Release{},
}

// TestEveryCommandIsBounded puts a text that is too long into every place of every
// command that can hold one.
func TestEveryCommandIsBounded(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") {
			there += strings.Count(string(text), ") apply(w *work) error {")
		}
	}
	if there != len(commands) {
		t.Fatalf("there are %d commands, and the list has %d", there, len(commands))
	}
	long := strings.Repeat("ü", input.LongestText)
	places := 0
	for _, c := range commands {
		for n := 0; ; n++ {
			v := reflect.New(reflect.TypeOf(c)).Elem()
			left := n
			if !lengthen(v, long, &left) {
				break
			}
			places++
			kept, err := Bounded(v.Interface().(Command)) //nolint:forcetypeassert // it is one
			var tooLong *input.TooLong
			switch c.(type) {
			case Touch, Extend, Observe: // ids of what has begun
			case Settle, Release:
				if err != nil {
					t.Errorf("%T, place %d: the end of a charge is refused: %v", c, n, err)
				}
				if o := reflect.ValueOf(kept).FieldByName("Outcome"); bounded(o) != nil {
					t.Errorf("%T, place %d: %v is kept", c, n, o)
				}
			default:
				if !errors.As(err, &tooLong) || tooLong.Field == "" || tooLong.Bytes != len(long) {
					t.Errorf("%T, place %d: %v", c, n, err)
				}
			}
		}
		if _, err := Bounded(c); err != nil {
			t.Errorf("%T without a text: %v", c, err)
		}
	}
	if places < 60 {
		t.Errorf("only %d places", places)
	}
}

// lengthen sets the n-th text in a value, and makes what it is in.
func lengthen(v reflect.Value, long string, n *int) bool {
	switch v.Kind() { //nolint:exhaustive // the others hold no text
	case reflect.String:
		if *n--; *n < 0 {
			v.SetString(long)
		}
		return *n < 0
	case reflect.Pointer:
		to := reflect.New(v.Type().Elem())
		if lengthen(to.Elem(), long, n) {
			v.Set(to)
			return true
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && lengthen(v.Field(i), long, n) {
				return true
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return false
		}
		of := reflect.MakeSlice(v.Type(), 1, 1)
		if lengthen(of.Index(0), long, n) {
			v.Set(of)
			return true
		}
	}
	return false
}

func TestBoundedCostsNothing(t *testing.T) {
	var c Command = Reserve{Charge: &Charge{ID: "ch_1", Model: "m", Labels: []Label{{"a", "b"}}}}
	var end Command = Settle{Outcome: Outcome{Text: "answered", Usage: Usage{Quantities: []Quantity{{Unit: "input"}}}}}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Bounded(c); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a hold: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Bounded(end); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("a settle: %v allocations", n)
	}
}

func BenchmarkBounded(b *testing.B) {
	var c Command = Reserve{Charge: &Charge{ID: "ch_1", Model: "m", Labels: []Label{{"a", "b"}}}}
	for b.Loop() {
		if _, err := Bounded(c); err != nil {
			b.Fatal(err)
		}
	}
}
