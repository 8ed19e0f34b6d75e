package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/event"
	"github.com/farebox-dev/farebox/meter/input"
	"github.com/farebox-dev/farebox/meter/ledger"
	"github.com/farebox-dev/farebox/meter/pricebook"
	"github.com/farebox-dev/farebox/meter/pricing"
	"github.com/farebox-dev/farebox/meter/store/badger"
	"github.com/farebox-dev/farebox/meter/writer"
)

// Errors of the API itself.
var (
	// ErrPrices: a price file was refused.
	ErrPrices = errors.New("the price file is not in force; the prices that were loaded before still are")
	// ErrSignedOut: the caller has not signed in, or the session has ended.
	ErrSignedOut = errors.New("sign in first: send an API key as \"Authorization: Bearer …\", or open a portal session")
	// ErrForbidden: signed in, but not allowed to do this.
	ErrForbidden = errors.New("permission denied")
	// ErrCrossSite: a browser sent it on behalf of another site.
	ErrCrossSite = errors.New("this request comes from another site")
	// ErrNotFound: no endpoint has this path.
	ErrNotFound = errors.New("there is nothing here")
)

// ErrorBody is how errors leave: what to do about it, and a reason for programs.
type ErrorBody struct {
	Error  string `json:"error"`
	Reason string `json:"reason"`
}

// StatusOf is a status and a reason for an error: the one table for operators and the portal.
func StatusOf(err error) (status int, reason string) {
	for _, f := range []struct {
		err    error
		status int
		reason string
	}{
		{input.ErrInvalid, http.StatusBadRequest, "invalid_request"},
		{ledger.ErrInvalidAmount, http.StatusBadRequest, "invalid_request"},
		{ledger.ErrNoPlan, http.StatusBadRequest, "no_such_plan"},
		{ledger.ErrNoAccount, http.StatusNotFound, "no_such_account"},
		{ledger.ErrNoCharge, http.StatusNotFound, "no_such_charge"},
		{ledger.ErrPastRetention, http.StatusGone, "past_retention"},
		{ledger.ErrNoGrant, http.StatusNotFound, "no_such_grant"},
		{directory.ErrNoSuchKey, http.StatusNotFound, "no_such_key"},
		{directory.ErrNoMember, http.StatusNotFound, "no_such_member"},
		{directory.ErrMemberExists, http.StatusConflict, "member_exists"},
		{pricebook.ErrNotFound, http.StatusNotFound, "no_such_prices"},
		{directory.ErrMaxKeys, http.StatusConflict, "max_keys"},
		{directory.ErrMaxMembers, http.StatusConflict, "max_members"},
		{directory.ErrLastAdmin, http.StatusConflict, "last_admin"},
		{event.ErrNoDelivery, http.StatusNotFound, "no_such_delivery"},
		{ledger.ErrRenewsAt, http.StatusBadRequest, "invalid_request"},
		{ledger.ErrThreshold, http.StatusBadRequest, "invalid_request"},
		{ledger.ErrAccountExists, http.StatusConflict, "account_exists"},
		{ledger.ErrIdempotencyConflict, http.StatusConflict, "idempotency_conflict"},
		{ledger.ErrConflict, http.StatusConflict, "conflict"},
		{ledger.ErrNotSuspended, http.StatusConflict, "account_not_suspended"},
		{ledger.ErrNotSettled, http.StatusConflict, "charge_is_open"},
		{ledger.ErrRefundTooLarge, http.StatusConflict, "refund_too_large"},
		{ledger.ErrNothingToRenew, http.StatusConflict, "nothing_to_renew"},
		{ledger.ErrSubscriptionRequired, http.StatusForbidden, "subscription_required"},
		{ledger.ErrSuspended, http.StatusForbidden, "account_suspended"},
		{ErrSignedOut, http.StatusUnauthorized, "signed_out"},
		{ErrForbidden, http.StatusForbidden, "admin_only"},
		{ErrCrossSite, http.StatusForbidden, "cross_site"},
		{ErrNotFound, http.StatusNotFound, "not_found"},
		{ErrPrices, http.StatusUnprocessableEntity, "price_file_invalid"},
		{writer.ErrClockBehind, http.StatusConflict, "clock_behind"},
		{writer.ErrUnavailable, http.StatusServiceUnavailable, "meter_unavailable"},
		{writer.ErrClosed, http.StatusServiceUnavailable, "meter_unavailable"},
		{badger.ErrInUse, http.StatusServiceUnavailable, "meter_unavailable"},
	} {
		if errors.Is(err, f.err) {
			return f.status, f.reason
		}
	}
	var often *directory.TooOften
	if errors.As(err, &often) {
		return http.StatusTooManyRequests, "too_often"
	}
	var r *pricing.Refusal
	if errors.As(err, &r) {
		return r.Status, r.Reason
	}
	return http.StatusInternalServerError, "internal"
}

// retryAfter says when a caller who has asked too often may ask again.
func retryAfter(w http.ResponseWriter, err error) {
	var often *directory.TooOften
	if errors.As(err, &often) {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((often.Wait+time.Second-1)/time.Second), 10))
	}
}

// WriteError answers a request with an error.
func WriteError(w http.ResponseWriter, err error) {
	status, reason := StatusOf(err)
	if errors.Is(err, ErrSignedOut) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="farebox"`)
	}
	retryAfter(w, err)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(ErrorBody{Error: err.Error(), Reason: reason})
}
