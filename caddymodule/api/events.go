package api

import (
	"fmt"
	"net/http"
	"time"
)

// events is a stream of server-sent events for open pages: "change" whenever
// something of the account has changed. What it is, the page asks for; so a
// stream says nothing that the page might not see.
func (c *call) events() error {
	if _, err := c.m.Accounts.Get(c.Context(), c.who.account); err != nil {
		return err
	}
	changed, stop := c.m.Accounts.Watch(c.who.account)
	defer stop()
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	flush := http.NewResponseController(c.w)
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	until := time.NewTimer(time.Hour) // then the page connects again, and is identified again
	defer until.Stop()
	text := "retry: 1000\n\n"
	for {
		if _, err := fmt.Fprint(c.w, text); err != nil {
			return nil
		}
		if err := flush.Flush(); err != nil {
			return nil
		}
		select {
		case <-changed:
			text = "event: change\ndata: {}\n\n"
			if !c.pause(200 * time.Millisecond) { // a busy account is one event, not hundreds
				return nil
			}
		case <-beat.C:
			if again := *c; c.endpoint.identify(&again) != nil || again.who.account != c.who.account {
				return nil // signed out meanwhile
			}
			text = ": still here\n\n"
		case <-until.C:
			return nil
		case <-c.api.Closing:
			return nil
		case <-c.Context().Done():
			return nil
		}
	}
}

func (c *call) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-c.Context().Done():
		return false
	}
}
