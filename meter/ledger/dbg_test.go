package ledger
import "testing"
func TestDbg(t *testing.T) {
	s := newSim(t, 13810258940615128518, 1169)
	for step := range 66 {
		p := s.try()
		if step >= 58 { t.Log(step, s.log[len(s.log)-1], s.a.Sub.Plan, s.a.Sub.Then, s.a.Sub.ThenPlan, s.a.Sub.End, p)
			for _, g := range s.a.Grants { if g.Available+g.Held > 0 { t.Logf("   %s amt %d av %d held %d parked %t end %s", g.ID, g.Amount, g.Available, g.Held, g.Parked, g.ExpiresAt) } }
			tt,_ := s.naive.Available(); t.Log("   naive", tt)
			}
	}
	t.Log(s.log[0])
}
