package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/internal/pgtest"
)

// The Compose file has several gateways that share a database which only they reach.
// Their Caddyfile finds the database by the environment alone.
func TestDeployGateways(t *testing.T) {
	t.Parallel()
	file := deploy + "gateways/compose.yaml"
	text := read(t, file)
	all := documents(t, "gateways")
	at := slices.IndexFunc(all, func(o object) bool { return o.at("services") != nil })
	if at < 0 {
		t.Fatal("there are no services")
	}
	c := all[at]
	if c.at("services.database.ports") != nil || slices.Contains(c.words("services.database.networks"), "outside") {
		t.Error("the database can be reached from outside")
	}
	if c.at("services.farebox.read_only") != true || !slices.Equal(c.words("services.farebox.cap_drop"), []string{"ALL"}) {
		t.Error("the gateway has rights that it does not need")
	}
	commands := ofCompose.FindAllStringSubmatch(text, -1)
	if len(commands) != 3 {
		t.Errorf("%d commands of the gateway were found", len(commands))
	}
	for _, m := range commands {
		realCommand(t, file, strings.Fields(strings.TrimPrefix(m[1], "farebox ")))
	}
	g := bare(t)
	g.upstream = unused(t)
	g.also = append(g.also, "METER_DATABASE="+pgtest.Start(t, "fsync=off").DSN("farebox"))
	g.validates(file, read(t, deploy+"gateways/prices/pricing.yaml"), read(t, deploy+"gateways/Caddyfile"))
	g.validates(file, read(t, deploy+"gateways/prices/pricing.yaml"), read(t, deploy+"gateways/balancer.Caddyfile"))
	g.write("Caddyfile", read(t, deploy+"gateways/Caddyfile"))
	if out := g.exec("meter", "init"); out.code != 0 || !strings.Contains(out.stdout, "created the ledger") {
		t.Errorf("farebox meter init: %d, %s%s", out.code, out.stdout, out.stderr)
	}
}
