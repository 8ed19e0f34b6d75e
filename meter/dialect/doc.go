// Package dialect reads the wire protocols of AI APIs: what a request asks for, what an answer used, how a refusal looks.
//
// It is pure: no I/O, no clock, no goroutines. It knows tokens, not prices.
//
// An [API] is one endpoint of one provider. [Detect] finds it by method and path and never fails: what it does not know is
// plain HTTP. [API.ReadRequest], [API.EstimateInput] and [API.Prepare] work on the request body before it is sent;
// a [Reader] follows the answer as its bytes pass and has a [Result] at any time. Whatever an upstream sends, the reader
// never changes the client's bytes, except for the usage chunk that [API.Prepare] itself asked for.
//
// A new API is a profile in one file: where to find the model, the output limit, the usage, the text; and an entry in profiles.
package dialect
