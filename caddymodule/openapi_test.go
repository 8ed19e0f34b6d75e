package caddymodule

import "testing"

// Every route of the operator's API is described, and nothing else is.
func TestTheOperatorsAPIIsDescribed(t *testing.T) {
	described := map[string]bool{}
	for _, o := range operatorOperations() {
		described[o.Pattern] = true
		if operatorRoutes[o.Pattern] == nil && o.Pattern != "GET /meter/backup" {
			t.Errorf("%s is described, but there is no such route", o.Pattern)
		}
	}
	for pattern := range operatorRoutes {
		if !described[pattern] {
			t.Errorf("%s is not described", pattern)
		}
	}
}
