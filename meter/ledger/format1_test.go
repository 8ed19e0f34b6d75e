package ledger

import (
	"reflect"
	"testing"

	"github.com/farebox-dev/farebox/meter/money"
)

// What records of version 1 kept in strings is read into fields: the migration
// writes these.
func TestStringsOfVersion1AreReadIntoFields(t *testing.T) {
	var e encoder
	e.uint(1) // allocations
	e.string("plan:basic#0 free:2026-11-12T00:00:00Z")
	e.string("free")
	e.amount(7)
	e.amount(7)
	e.string("input=12 image=0.5 tier:flex plan:team")
	e.string("team=red\tlane=")
	d := &decoder{b: e, v1: true}

	instance := Instance{LineID{"basic", 0, "free"}, at("2026-11-12T00:00:00Z")}
	want := []Allocation{{Grant: "plan:basic#0 free:2026-11-12T00:00:00Z", Instance: instance, Type: "free", Amount: 7, Base: 7}}
	if got := d.allocations(); !reflect.DeepEqual(got, want) {
		t.Errorf("allocations are %+v, want %+v", got, want)
	}
	half, err := money.ParseDecimal("0.5")
	if err != nil {
		t.Fatal(err)
	}
	used := Usage{Quantities: []Quantity{{"input", money.FromInt(12)}, {"image", half}}, Marks: []Mark{{"tier", "flex"}, {"plan", "team"}}}
	if got := d.usage(); !reflect.DeepEqual(got, used) {
		t.Errorf("the usage is %+v, want %+v", got, used)
	}
	if got, want := d.labels(), []Label{{"team", "red"}, {"lane", ""}}; !reflect.DeepEqual(got, want) {
		t.Errorf("labels are %+v, want %+v", got, want)
	}
	if d.err != nil || len(d.b) > 0 {
		t.Errorf("error %v, %d bytes left", d.err, len(d.b))
	}
}
