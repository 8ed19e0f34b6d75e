package cli

import (
	"strings"
	"testing"

	"github.com/farebox-dev/farebox/meter/store/memory"
)

// The old name of --idempotency-key is the same flag, and says what to write.
func TestIdempotencyKeyHasAnOldName(t *testing.T) {
	c := newGateway(t, memory.New()).cli()
	grant := []string{"grant", "acme", "5", "--reason", "invoice 2041"}
	out, diagnostics, err := meterCommand(t, c, append(grant, "--idempotency-key", "in_2041")...)
	if err != nil || !strings.Contains(out, "granted") || diagnostics != "" {
		t.Errorf("%v\n%s%s", err, out, diagnostics)
	}
	out, diagnostics, err = meterCommand(t, c, append(grant, "--key", "in_2041")...)
	if err != nil || !strings.Contains(out, "already granted") {
		t.Errorf("%v\n%s%s", err, out, diagnostics)
	}
	if !strings.Contains(diagnostics, "Flag --key has been deprecated, write --idempotency-key") {
		t.Errorf("--key prints %q", diagnostics)
	}
	_, diagnostics, err = meterCommand(t, c, append(grant, "--key", "a", "--idempotency-key", "b")...)
	if err == nil || !strings.Contains(diagnostics, "none of the others can be") {
		t.Errorf("both names: %v, %q", err, diagnostics)
	}
	for _, command := range [][]string{{"account", "renew"}, {"refund"}, {"grant"}} {
		cmd, _, err := group("meter", "", c.commands()...).Find(command)
		if err != nil || cmd.Flags().Lookup("idempotency-key") == nil || cmd.Flags().Lookup("key").Deprecated == "" {
			t.Errorf("%s: no --idempotency-key, or --key is not its old name: %v", command, err)
		}
	}
}
