package api

import (
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
)

// Bodies of requests that have no other use for a type.
type (
	reasonRequest struct {
		Reason string `json:"reason"`
	}
	accountRequest struct {
		ID   string `json:"id"`
		Name string `json:"name,omitempty"`
		Plan string `json:"plan,omitempty"`
	}
	PlanRequest struct {
		Plan string `json:"plan"`
		When string `json:"when,omitempty"` // now, renewal
		// RenewsAt is when the first billing period ends, if the payment system says so.
		RenewsAt time.Time `json:"renews_at,omitzero"`
		Reason   string    `json:"reason,omitempty"`
	}
	patchRequest struct {
		Name      *string `json:"name,omitempty"`
		Suspended *bool   `json:"suspended,omitempty"`
		Reason    string  `json:"reason,omitempty"`
	}
	refundRequest struct {
		Amount string `json:"amount,omitempty"`
		Reason string `json:"reason"`
	}
	operatorKeyRequest struct {
		Name      string    `json:"name,omitempty"`
		Scope     string    `json:"scope"`
		ExpiresAt time.Time `json:"expires_at,omitzero"`
	}
	memberRequest struct {
		ID string `json:"id"`
		directory.MemberChange
	}
	signInRequest struct {
		Key string `json:"key"`
	}
	alertsRequest struct {
		Below []string `json:"below"` // null: those of the price file
	}
	webhookRequest struct {
		URL string `json:"url"`
	}
	textRequest struct {
		Text string `json:"text"`
	}
	overlapRequest struct {
		Overlap string `json:"overlap,omitempty"`
	}
	forceRequest struct {
		Force bool `json:"force,omitempty"`
	}
)
