package checkpoint

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/farebox-dev/farebox/internal/seed"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/money"
	"github.com/farebox-dev/farebox/meter/usage"
)

// What is added to rows one by one comes to the same digest as the rows, and another
// number anywhere to another one.
func TestTheDigestOfChargesIsThatOfTheirRows(t *testing.T) {
	r := rand.New(rand.NewPCG(seed.Of(t), 1)) //nolint:gosec // a test's
	var ofCharges Digest
	rows := map[string]*usage.Sum{}
	for range 500 {
		name := fmt.Sprint("row ", r.IntN(20))
		s := usage.Sum{Requests: 1, Cost: money.Amount(r.IntN(1000)), Refunded: money.Amount(r.IntN(3)), Failed: int64(r.IntN(2))}
		for _, unit := range []string{"input", "seconds"} {
			n, err := money.ParseDecimal(fmt.Sprintf("%d.%d", r.IntN(50), r.IntN(1000)))
			if err != nil {
				t.Fatal(err)
			}
			s.Units = append(s.Units, ledger.Quantity{Unit: unit, Count: n})
		}
		ofCharges.Add(name, &s)
		if rows[name] == nil {
			rows[name] = &usage.Sum{}
		}
		rows[name].Add(&s)
	}
	digest := func() (d Digest) {
		for name, s := range rows {
			d.Add(name, s)
		}
		return d
	}
	if digest() != ofCharges {
		t.Fatalf("the rows come to %d, the charges to %d", digest(), ofCharges)
	}
	for name, s := range rows {
		for _, n := range []*int64{&s.Requests, &s.Failed, &s.Estimated, (*int64)(&s.Cost), (*int64)(&s.Refunded), (*int64)(&s.Absorbed)} {
			if *n++; digest() == ofCharges {
				t.Errorf("%s: a number that is wrong by 1 is not noticed", name)
			}
			if *n--; digest() != ofCharges {
				t.Fatal("the digest depends on more than the rows")
			}
		}
		was := s.Units[0].Count
		if s.Units[0].Count = was.Shift(-1); digest() == ofCharges {
			t.Errorf("%s: a tenth of %s is not noticed", name, was)
		}
		s.Units[0].Count = was
	}
}

func TestACheckpointIsReadAsWrittenOrRefused(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := Start("acme")
	c.Account.Seq, c.Account.Clock, c.Account.Name = 7, at, "Acme"
	c.Account.Holds["ch_1"] = &ledger.Charge{ID: "ch_1", Account: "acme", State: ledger.Held, At: at}
	c.Made, c.Entries, c.Charges, c.Kept["ch_2"], c.Used.Requests, c.Digest = at, 7, 2, 12, 2, 99
	raw, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(raw)
	if err != nil || again.Account.Name != "Acme" || again.Account.Holds["ch_1"] == nil || again.Kept["ch_2"] != 12 || !again.Since().Equal(at) {
		t.Fatalf("%+v, %v", again, err)
	}
	if same, err := again.Encode(); err != nil || !bytes.Equal(same, raw) {
		t.Errorf("read and written again, it is another: %v", err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if _, err := Decode(bad); err == nil {
			t.Fatalf("byte %d of %d was changed unnoticed", i, len(raw))
		}
		if _, err := Decode(raw[:i]); err == nil {
			t.Fatalf("the first %d bytes are taken for a checkpoint", i)
		}
	}
}
