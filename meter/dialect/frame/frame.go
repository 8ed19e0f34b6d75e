// Package frame splits streamed answers into the events that they carry:
// server-sent events, lines of JSON, the elements of a JSON array, and AWS event
// streams. Bytes come in pieces of any size, and at most one event is kept.
package frame

import "github.com/farebox-dev/farebox/internal/jsonscan"

// Event is one event of a stream.
type Event struct {
	Name   []byte // nil if it has none
	Data   []byte
	Failed bool // the framing itself says that the answer failed
}

// Splitter finds the events of a stream in its bytes.
type Splitter interface {
	// Next consumes p up to the end of an event. It returns the rest, and whether an
	// event has ended. Events may be empty.
	Next(p []byte) (rest []byte, ended bool)
	// Event is the event that has ended, valid until Reset. ok is false if it has no
	// data, or more than is kept.
	Event() (e Event, ok bool)
	// Reset begins the next event.
	Reset()
	// End is the end of the stream. It reports whether the last event, whose own end
	// is missing, is complete without it.
	End() bool
}

// New returns the splitter of a format, nil if the format has no events. Data is
// collected in doc, with its long strings cut.
func New(f Format, doc *jsonscan.Truncator) Splitter {
	switch f {
	case SSE:
		return &eventSource{doc: doc}
	case Lines:
		return &lines{doc}
	case Array:
		return &array{doc: doc}
	case AWS:
		return &eventStream{}
	default:
		return nil
	}
}
