package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"

	"github.com/farebox-dev/farebox"
	"github.com/farebox-dev/farebox/caddymodule/api"
	"github.com/farebox-dev/farebox/caddymodule/stores"
	"github.com/farebox-dev/farebox/internal/mockai"
	"github.com/farebox-dev/farebox/meter/directory"
	"github.com/farebox-dev/farebox/meter/pricing/pricefile"
	"github.com/farebox-dev/farebox/meter/store/badger"
)

func (c *cli) demoCommand() *cobra.Command {
	var listen string
	var clock bool
	cmd := command("demo", "Start a gateway with a mock AI API behind it, offline", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
		return c.demo(cmd.Context(), listen, clock)
	})
	cmd.Flags().BoolVar(&clock, "clock", false, "give it a clock of its own, which farebox meter advance sets forward")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "address of the gateway")
	return cmd
}

const demoCaddyfile = `{
	admin %s
	persist_config off
	auto_https off
	log {
		level ERROR
	}
	meter {
		store badger %q
		pricing %q
	}
}
http://:%s {
	bind %s
	meter_dashboard operator
	meter {
		stream_comment
	}
	reverse_proxy %s {
		flush_interval -1
	}
}
`

// demo runs until it is interrupted.
func (c *cli) demo(ctx context.Context, listen string, clock bool) error {
	dir, err := c.demoDir()
	if err != nil {
		return err
	}
	prices := filepath.Join(dir, "pricing.yaml")
	if _, err := os.Stat(prices); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(prices, demoPricing(), 0o600); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(prices) //nolint:gosec // written above, or the user's own
	if err != nil {
		return err
	}
	if err := demoLedger(ctx, filepath.Join(dir, "ledger"), text); err != nil {
		return err
	}
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mock := &http.Server{Handler: mockai.Handler(mockai.Options{Models: demoModels(text)}), ReadHeaderTimeout: 10 * time.Second}
	go mock.Serve(upstream) //nolint:errcheck // ends with the process
	host, port, err := net.SplitHostPort(listen)
	if err != nil || host == "" {
		return &exit{exitInvalid, fmt.Errorf("--listen %q: write host:port, such as 127.0.0.1:8080", listen)}
	}
	config := fmt.Sprintf(demoCaddyfile, c.address, filepath.Join(dir, "ledger"), prices, port, host, upstream.Addr())
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err == nil && clock {
		adapted, err = withClock(adapted, filepath.Join(dir, "clock"))
	}
	if err != nil {
		return err
	}
	caddy.TrapSignals()
	if err := caddy.Load(adapted, true); err != nil {
		return fmt.Errorf("%w\nIf a port is taken: --listen 127.0.0.1:<port> and --address localhost:<port>", err)
	}
	keys, err := (&cli{address: c.address}).demoKeys()
	if err != nil {
		return err
	}
	c.welcome(listen, prices, keys)
	if clock {
		fmt.Println("\nThe clock is the demo's own. Set it forward while the portal is open:\n\n  farebox meter advance 30 days")
	}
	select {}
}

// withClock gives a configuration the clock in a file, for which a Caddyfile has no word.
func withClock(config []byte, file string) ([]byte, error) {
	var c map[string]any
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	c["apps"].(map[string]any)["meter"].(map[string]any)["demo_clock"] = file //nolint:forcetypeassert // demoCaddyfile has a meter
	return json.Marshal(c)
}

// advanceCommand sets the clock of a demo forward.
func (c *cli) advanceCommand() *cobra.Command {
	return command("advance DURATION", "Set the clock of a demo forward, such as by 30 days or 1 month: credits renew and expire", cobra.RangeArgs(1, 2), func(_ *cobra.Command, args []string) error {
		by := strings.Join(args, " ")
		return request(c, http.MethodPost, "/meter/clock/advance?by="+url.QueryEscape(by), "", nil, func(w *tabwriter.Writer, v api.AdvanceView) {
			fmt.Fprintf(w, "it is %s now\n", v.Now.Format(time.RFC3339))
		})
	})
}

// demoModels are the models that a price file names, and what the mock plays behind
// each name with a *.
func demoModels(text []byte) (list []string) {
	book, _ := pricefile.Load("pricing.yaml", text)
	if book == nil {
		return nil
	}
	for _, m := range book.Models {
		list = append(list, strings.ReplaceAll(m.Key, "*", "small"))
	}
	return list
}

// demoLedger makes the demo's ledger with its history, if there is none yet.
func demoLedger(ctx context.Context, dir string, prices []byte) error {
	if err := demoHistory(ctx, dir, prices, time.Now()); err != nil {
		return err
	}
	if badger.Exists(dir) {
		return nil
	}
	_, err := stores.Create(ctx, dir, time.Now())
	return err
}

// demoDir is --data, or a new temporary directory.
func (c *cli) demoDir() (string, error) {
	if c.data == "" {
		return os.MkdirTemp("", "farebox-demo-")
	}
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		return "", err
	}
	return filepath.Abs(c.data)
}

// demoPricing is the shipped price file with what the demo's history uses.
func demoPricing() []byte {
	text := string(farebox.Pricing)
	for _, line := range []string{"labels: {project: header.X-Project}   # a column of reports", "alerts: [{below: 20%}, {below: 5%}]"} {
		name, _, _ := strings.Cut(line, " ")
		if !strings.Contains(text, "\n"+name) {
			text += "\n" + line + "\n"
		}
	}
	return []byte(text)
}

// demoSecrets are the keys that the demo prints.
type demoSecrets struct{ demo, mira, operator string }

// demoKeys makes the account "demo", if it is not there yet, and keys for it,
// for an admin of the team, and for the operator console.
func (c *cli) demoKeys() (s demoSecrets, err error) {
	_, err = c.ask(http.MethodPost, "/meter/accounts", "", map[string]string{"id": "demo", "name": "Demo account"}, nil)
	var conflict *exit
	if err != nil && (!errors.As(err, &conflict) || conflict.code != exitRefused) {
		return s, err
	}
	secret := func(uri string, in map[string]string) string {
		var k api.NewKeyView
		if err == nil {
			_, err = c.ask(http.MethodPost, uri, "", in, &k)
		}
		return k.Secret
	}
	err = nil
	s.demo = secret(accountURI("demo", "keys"), map[string]string{"name": "demo"})
	if _, missing := c.ask(http.MethodGet, accountURI("acme", "members", "mira"), "", nil, nil); missing == nil {
		s.mira = secret(accountURI("acme", "keys"), map[string]string{"name": "demo", "member": "mira"})
	}
	s.operator = secret("/meter/operator-keys", map[string]string{"name": "demo", "scope": directory.ScopeAdmin})
	return s, err
}

func (c *cli) welcome(listen, prices string, keys demoSecrets) {
	flag := ""
	if c.address != caddy.DefaultAdminListen {
		flag = " --address " + c.address
	}
	team := "sign in with the key above"
	if keys.mira != "" {
		team = "sign in as Mira of the team acme, which has 30 days of history: " + keys.mira
	}
	fmt.Print(strings.NewReplacer("LISTEN", listen, "SECRET", keys.demo, "TEAM", team, "OPERATOR", keys.operator, "PRICES", prices, "FLAG", flag).Replace(`
Farebox demo. Ctrl-C ends it.

gateway   http://LISTEN   with a mock AI API behind it
account   demo, plan free: 100 credits a day
prices    PRICES   (edit it: a change is in force after a few seconds)
key       SECRET

portal    http://LISTEN/_meter/           TEAM
console   http://LISTEN/_meter/accounts   sign in as its operator: OPERATOR

Try, in another terminal:

  export KEY=SECRET
  curl -i http://LISTEN/v1/chat/completions -H "Authorization: Bearer $KEY" \
    -d '{"model":"demo-small","messages":[{"role":"user","content":"Hello!"}]}'

  # spend it all: the fifth picture is one too many, 402
  for i in 1 2 3 4 5; do curl -s -o /dev/null -w '%{http_code} ' http://LISTEN/v1/images -H "x-api-key: $KEY" -d '{"prompt":"a pier"}'; done; echo

  # an upstream that fails costs nothing
  curl -i http://LISTEN/v1/chat/completions -H "Authorization: Bearer $KEY" \
    -d '{"model":"demo-fail-502","messages":[{"role":"user","content":"Hello!"}]}'

  farebox meter account show demoFLAG
  farebox meter journal demoFLAG
  farebox meter verifyFLAG
`))
}
