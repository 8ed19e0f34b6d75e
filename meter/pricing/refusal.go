package pricing

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of buying a pack for money.
var (
	ErrPriceNeeded = errors.New("this pack needs a price")
	ErrCurrency    = errors.New("the price is in another currency than the worth of a credit")
)

// Reasons of refusals, as clients see them.
const (
	AmbiguousRequest   = "ambiguous_request"
	BodyNotJSON        = "body_not_json"
	BodyNotForm        = "body_not_form"
	QuantityInvalid    = "quantity_invalid"
	QuantityTooLarge   = "quantity_too_large"
	MissingModel       = "missing_model"
	ModelNotPriced     = "model_not_priced"
	OperationNotPriced = "operation_not_priced"
	PlanDoesNotInclude = "plan_does_not_include"
)

// Refusal says why a request may not pass, whatever the balance.
type Refusal struct {
	Status  int      // HTTP status: 400 or 403
	Reason  string   // one of the constants above
	Field   string   // the field it is about, as the price file names it; may be empty
	Message string   // one sentence
	Model   string   // of model_not_priced: the name asked for, if there is one
	Plans   []string // of plan_does_not_include: ids of the plans that do
}

// Error is the message with the reason.
func (r *Refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Status, r.Reason, r.Message) }

func refuse(status int, reason, field, message string, args ...any) *Refusal {
	return &Refusal{Status: status, Reason: reason, Field: field, Message: fmt.Sprintf(message, args...)}
}

func ambiguousField(f *Field) *Refusal {
	if f.json() {
		return refuse(400, AmbiguousRequest, f.Text, "%s occurs twice, or in another case", f.Text)
	}
	return refuse(400, AmbiguousRequest, f.Text, "%s occurs twice", f.Text)
}

func notJSON(f *Field) *Refusal {
	name := ""
	if f != nil {
		name = f.Text
	}
	return refuse(400, BodyNotJSON, name, "the body is not one JSON document")
}

func planRefusal(p *Plan, plans []*Plan) *Refusal {
	r := refuse(403, PlanDoesNotInclude, "", "the plan %q does not include this request", p.Name)
	names := make([]string, 0, len(plans))
	for _, other := range plans {
		r.Plans = append(r.Plans, other.ID)
		names = append(names, other.Name)
	}
	if len(plans) > 0 {
		r.Message += "; these plans do: " + strings.Join(names, ", ")
	}
	return r
}
