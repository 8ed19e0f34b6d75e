// Command farebox is Caddy with the meter module: a reverse proxy that takes
// prepaid credits before an AI request runs and settles them afterwards.
//
// An upgrade says which of two processes gets the new connections of a port that both
// listen on. Linux cannot do that for multipath TCP, Go's default.
//
//go:debug multipathtcp=0
package main

import (
	_ "time/tzdata" // account zones must resolve on machines without a zone database

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/farebox-dev/farebox"
	_ "github.com/farebox-dev/farebox/caddymodule"
	_ "github.com/farebox-dev/farebox/caddymodule/cli"
)

func main() {
	caddy.CustomBinaryName = "farebox"
	caddy.CustomVersion = "Farebox " + farebox.Version() + ", Caddy" // which appends its own
	caddycmd.Main()
}
