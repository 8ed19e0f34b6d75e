// Package pricing reads the price file (pricing.yaml) and prices requests by
// it: which operation a request is, what it holds before it is sent and what
// it costs once its answer is known.
//
//	book, problems := pricefile.Load("pricing.yaml", text)
//	request, err := book.Read(&facts)             // *Refusal if it may not pass
//	hold, err := request.Hold(estimate, plan, free)
//	cost, err := request.Cost(&answer, plan, free)
//
// The package is pure: no I/O, no clock, no goroutines. It gets facts about a
// request, never the request itself, and knows neither balances nor the ways
// in which APIs report usage. Numbers are exact decimals from the text of the
// file to the one rounding at the end.
package pricing
