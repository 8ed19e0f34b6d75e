package meter

import (
	"time"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// beginGiving decides whether the answer may give its caller ids that an
// upstream keeps something under, and notes those in its header.
func (c *Charge) beginGiving() {
	c.gives, c.whole = false, false
	if c.done || c.status < 200 || c.status >= 300 {
		return
	}
	path := c.price.Path()
	op := c.price.Operation()
	c.gives = !c.api.Plain() || c.api.Family == dialect.FamilyGemini || resource.InPath(path).Kind != "" || op != nil && op.Job != nil
	if !c.gives {
		return
	}
	c.gift = resource.Request{Method: c.req.Method, Path: path, Unstored: c.unstored(path)}
	c.noteGiven(resource.InHeader(c.header), nil)
}

// unstored: chat completions are kept if the request says so, everything else
// unless it says not to.
func (c *Charge) unstored(path string) bool {
	store := gjson.GetBytes(c.req.Body, "store")
	if resource.InPath(path).Kind == "/chat/completions" {
		return store.Type != gjson.True
	}
	return store.Type == gjson.False
}

// event takes an object of a stream.
func (c *Charge) event(doc []byte) {
	if c.fields != nil {
		c.fields.Add(doc)
	}
	if c.gives {
		c.noteGiven(c.api.Issued(doc, c.gift), nil)
	}
}

// giveWhole looks at a JSON answer once it is whole, before its last byte goes
// on: who has an id may ask for it at once.
func (c *Charge) giveWhole() {
	if !c.gives || c.whole {
		return
	}
	doc := c.reader.Document()
	if doc == nil {
		return
	}
	c.whole = true
	c.noteGiven(c.api.Issued(doc, c.gift), c.jobNames(doc))
}

// jobNames are the names of the job that an answer has started by the price file.
func (c *Charge) jobNames(doc []byte) []string {
	op := c.price.Operation()
	if op == nil || op.Job == nil {
		return nil
	}
	id := c.price.JobID(&pricing.Answer{Status: c.status, Header: c.header, Body: doc})
	if id == "" {
		return nil
	}
	return ownedNames([]string{named(op.ID, id), cleanPath(op.Job.StatusPath(id))})
}

// noteGiven keeps that the caller has got these. An answer that costs nothing waits
// for no booking, so it waits for this.
func (c *Charge) noteGiven(list []resource.Ref, names []string) {
	for _, s := range list {
		names = append(names, ownership.Name(s))
	}
	var fresh []string
	for _, n := range names {
		if !c.given[n] && len(c.given) < maxGiven {
			if c.given == nil {
				c.given = map[string]bool{}
			}
			c.given[n] = true
			fresh = append(fresh, n)
		}
	}
	if len(fresh) == 0 {
		return
	}
	kept := c.m.owners.Claim(c.req.Caller.Account, fresh)
	if c.unmetered || c.free {
		select {
		case <-kept:
		case <-time.After(time.Second):
		}
	}
}

// maxGiven bounds the ids that one answer gives.
const maxGiven = 1000

// forgetDeleted forgets an id whose upstream has deleted what was kept under it.
func (c *Charge) forgetDeleted() {
	if c.req.Method != "DELETE" || c.status < 200 || c.status >= 300 {
		return
	}
	if at := resource.InPath(c.price.Path()); at.Exact {
		c.m.owners.Release(ownership.PathNames(c.book.Book, c.req.Method, c.price.Path()))
	}
}
