package frame

// maxHeld bounds the bytes of one event that are held back.
const maxHeld = 64 << 10

// Filter forwards server-sent events one by one, without those that its owner
// drops. All other bytes go out unchanged. At most one event is held back, and
// none that is larger than 64 KB.
type Filter struct {
	events  *eventSource
	drop    func() bool // handles the event that has ended, and says whether to drop it
	held    []byte      // of the current event
	passing bool        // the current event is too large to be held
	dropped bool        // the event before was
	out     []byte
}

// NewFilter returns a filter of server-sent events. It calls drop when an event has
// ended; that must Reset the splitter.
func NewFilter(s Splitter, drop func() bool) *Filter {
	events, ok := s.(*eventSource)
	if !ok {
		return nil
	}
	return &Filter{events: events, drop: drop}
}

// Write takes the next bytes of a stream and returns those to forward: p itself if
// nothing is dropped or held back. The result is valid until the next call.
func (f *Filter) Write(p []byte) []byte {
	f.out = f.out[:0]
	start := 0
	if len(p) > 0 && p[0] == '\n' && len(f.held) == 0 && f.events.takeLF() { // the end of the event before
		if f.dropped {
			p = p[1:]
		} else {
			f.out = append(f.out, '\n')
			start = 1
		}
	}
	whole := len(f.held) == 0 // all of p goes out unchanged so far
	for rest := p[start:]; ; {
		var ended bool
		if rest, ended = f.events.Next(rest); !ended {
			break
		}
		if len(rest) > 0 && rest[0] == '\n' && f.events.takeLF() {
			rest = rest[1:]
		}
		end := len(p) - len(rest)
		if f.dropped = f.drop() && !f.passing; f.dropped {
			whole = false
		} else {
			f.out = append(append(f.out, f.held...), p[start:end]...)
		}
		f.held, f.passing = f.held[:0], false
		start = end
	}
	if f.hold(p[start:]) && whole {
		return p
	}
	return f.out
}

// hold keeps the beginning of an event. It reports whether that goes out at once.
func (f *Filter) hold(p []byte) (passes bool) {
	if len(p) == 0 {
		return true
	}
	f.held = append(f.held, p...)
	if !f.passing && len(f.held) <= maxHeld {
		return false
	}
	f.out = append(f.out, f.held...)
	f.held, f.passing = f.held[:0], true
	return true
}

// Close returns what is held back at the end of the stream, nil if drop is true.
func (f *Filter) Close(drop bool) []byte {
	held := f.held
	f.held = nil
	if drop {
		return nil
	}
	return held
}
