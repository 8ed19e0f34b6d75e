package meter

import (
	"time"

	"github.com/tidwall/gjson"

	"github.com/farebox-dev/farebox/meter/dialect"
	"github.com/farebox-dev/farebox/meter/dialect/resource"
	"github.com/farebox-dev/farebox/meter/job"
	"github.com/farebox-dev/farebox/meter/ownership"
	"github.com/farebox-dev/farebox/meter/pricing"
)

// gift records the ids that an answer issues to its caller: those of objects that
// the upstream keeps.
type gift struct {
	x     *exchange
	opt   resource.Request
	noted map[string]bool
	seen  bool // the document of the answer was looked at
	wait  bool // the ids are waited for: no other write of this answer is synced
}

// newGift decides whether the answer may give ids, and notes those in its header;
// nil if it gives none.
func (x *exchange) newGift(wait bool) *gift {
	if x.status < 200 || x.status >= 300 {
		return nil
	}
	path, op := x.price.Asked.Path, x.price.Operation()
	if x.api.Unknown && x.api.Family != dialect.FamilyGemini && resource.InPath(path).Kind == "" && (op == nil || op.Job == nil) {
		return nil
	}
	g := &gift{x: x, wait: wait, opt: resource.Request{Method: x.req.Method, Path: path, Unstored: x.unstored(path)}}
	g.note(resource.InHeader(x.header), nil)
	return g
}

// unstored: chat completions are kept if the request says so, everything else
// unless it says not to.
func (x *exchange) unstored(path string) bool {
	store := x.body.Member("store")
	if resource.InPath(path).Kind == "/chat/completions" {
		return store.Type != gjson.True
	}
	return store.Type == gjson.False
}

// event takes an object of a stream.
func (g *gift) event(doc []byte) {
	if g != nil {
		g.note(g.x.api.Issued(doc, g.opt), nil)
	}
}

// document looks at a JSON answer once it is whole, before its last byte goes on:
// who has an id may ask for it at once.
func (g *gift) document() {
	if g == nil || g.seen {
		return
	}
	doc := g.x.reader.Document()
	if doc == nil {
		return
	}
	g.seen = true
	g.note(g.x.api.Issued(doc, g.opt), g.x.jobNames(doc))
}

// jobNames are the names of the job that an answer has started by the price file.
func (x *exchange) jobNames(doc []byte) []string {
	op := x.price.Operation()
	if op == nil || op.Job == nil {
		return nil
	}
	id := x.price.Operation().JobID(&pricing.Answer{Status: x.status, Header: x.header, Body: doc})
	if id == "" {
		return nil
	}
	return job.OwnerNames(job.Name(op.ID, id), []string{job.CleanPath(op.Job.StatusPath(id))})
}

// note keeps that the caller has got these.
func (g *gift) note(list []resource.Ref, names []string) {
	for _, s := range list {
		names = append(names, ownership.Name(s))
	}
	var fresh []string
	for _, n := range names {
		if !g.noted[n] && len(g.noted) < maxGiven {
			if g.noted == nil {
				g.noted = map[string]bool{}
			}
			g.noted[n] = true
			fresh = append(fresh, n)
		}
	}
	if len(fresh) == 0 {
		return
	}
	kept := g.x.m.owners.Claim(g.x.req.Caller.Account, fresh)
	if g.wait {
		select {
		case <-kept:
		case <-time.After(time.Second):
		}
	}
}

// maxGiven bounds the ids that one answer gives.
const maxGiven = 1000

// forgetDeleted forgets an id whose upstream has deleted what was kept under it.
func (x *exchange) forgetDeleted() {
	if x.req.Method != "DELETE" || x.status < 200 || x.status >= 300 {
		return
	}
	if at := resource.InPath(x.price.Asked.Path); at.Exact {
		x.m.owners.Release(ownership.PathNames(x.book.Book, x.req.Method, x.price.Asked.Path))
	}
}
