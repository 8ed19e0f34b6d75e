//go:build linux

package main

import (
	"fmt"
	"net/http"
	"time"
)

// row is a kind of load.
type row struct {
	name     string
	title    string
	unit     string // what is counted, in the plural
	timed    string // which time the percentiles are of
	clients  int
	many     bool          // as many accounts as -accounts says, not one
	upstream time.Duration // how long the upstream takes to answer
	ask      func(c *http.Client, addr, key string) (sample, error)
}

// sample is what one request says.
type sample struct {
	units float64
	took  time.Duration
}

func rows() []row {
	var list []row
	for _, r := range []struct {
		upstream time.Duration
		clients  int
		many     bool
	}{
		{0, 1, false}, {0, 1, true}, {0, 64, false}, {0, 64, true}, {50 * time.Millisecond, 64, false}, {50 * time.Millisecond, 64, true},
	} {
		x := row{name: requestRow(r.upstream, r.clients, r.many), unit: "requests", timed: "latency", clients: r.clients, many: r.many, upstream: r.upstream, ask: askChat}
		x.title = fmt.Sprintf("Requests: upstream %d ms, %s, %s", r.upstream.Milliseconds(), counted(r.clients, "client"), counted(x.accounts(), "account"))
		list = append(list, x)
	}
	return append(list,
		row{name: "stream-1", title: fmt.Sprintf("Streams of %d events, one at a time", events), unit: "events", timed: "first byte", clients: 1, ask: askStream},
		row{name: "stream-64", title: fmt.Sprintf("64 streams of %d events at full speed", events), unit: "events", timed: "first byte", clients: 64, ask: askStream},
		row{name: "download", title: "Responses of 20 MB, 4 clients", unit: "MB", timed: "latency", clients: 4, ask: askDownload},
		row{name: "upload", title: "Request bodies of 20 MB at a fixed price, 4 clients", unit: "MB", timed: "latency", clients: 4, ask: askUpload},
		row{name: "upload-json", title: "Request bodies of 20 MB of JSON, priced by tokens, 4 clients", unit: "MB", timed: "latency", clients: 4, ask: askUploadJSON},
	)
}

func (r row) accounts() int {
	if r.many {
		return *accounts
	}
	return 1
}

// requestRow names a row of small requests: 0ms-64-many has 64 clients on many accounts.
func requestRow(upstream time.Duration, clients int, many bool) string {
	which := "one"
	if many {
		which = "many"
	}
	return fmt.Sprintf("%dms-%d-%s", upstream.Milliseconds(), clients, which)
}

func rowNames() (names []string) {
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return names
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
