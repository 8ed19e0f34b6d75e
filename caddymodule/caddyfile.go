package caddymodule

import (
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
	"github.com/farebox-dev/farebox/meter/ownership"
	"go.uber.org/zap"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("meter", parseApp)
	httpcaddyfile.RegisterHandlerDirective("meter", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("meter", httpcaddyfile.Before, "invoke") // behind encode and authentication, before every proxy
}

// parseApp reads the global option:
//
//	meter {
//		store <module> [<args>…]
//		pricing <file> {
//			watch <interval>|off
//			max_change <percent>|off
//		}
//		poll_jobs <interval>|off
//		ledger_timeout <interval>|off
//		max_concurrent <requests>
//		retention <duration> [export <dir>]
//		compact <time of day>|<interval>
//		notify webhook|email|slack … [only <events>…]
//		account_webhooks public|private|off
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // "meter"
	if existing != nil {
		return nil, d.Err("the global option meter is set twice; write one block")
	}
	a := new(App)
	if d.NextArg() {
		return nil, d.Errf("meter takes a block: meter { pricing %s }", d.Val())
	}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "store":
			err = a.parseStore(d)
		case "pricing":
			err = a.parsePricing(d)
		case "poll_jobs":
			a.Poll, err = intervalOrOff(d)
		case "ledger_timeout":
			a.LedgerTimeout, err = intervalOrOff(d)
		case "max_concurrent":
			a.MaxConcurrent, err = atLeastOne(d)
		case "notify":
			err = a.parseNotify(d)
		case "retention":
			err = a.ParseRetention(d)
		case "compact":
			err = a.ParseCompact(d)
		case "account_webhooks":
			if !d.AllArgs(&a.AccountWebhooks) {
				err = d.Err("account_webhooks takes public, private or off")
			}
		default:
			err = d.Errf("meter has no option %q; it has store, pricing, poll_jobs, ledger_timeout, max_concurrent, retention, compact, notify and account_webhooks", d.Val())
		}
		if err != nil {
			return nil, err
		}
	}
	return httpcaddyfile.App{Name: "meter", Value: caddyconfig.JSON(a, nil)}, nil
}

func (a *App) parseStore(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("store needs a name: store badger <dir>, or: store postgres <dsn>")
	}
	name := d.Val()
	m, err := caddyfile.UnmarshalModule(d, "meter.stores."+name)
	if err != nil {
		return err
	}
	a.Store = caddyconfig.JSONModuleObject(m, "module", name, nil)
	return nil
}

func (a *App) parsePricing(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&a.Pricing) {
		return d.Err("pricing needs a file: pricing ./pricing.yaml")
	}
	for d.NextBlock(1) {
		switch d.Val() {
		case "watch":
		case "max_change":
			if err := a.parseMaxChange(d); err != nil {
				return err
			}
			continue
		default:
			return d.Errf("pricing has no option %q; it has watch and max_change", d.Val())
		}
		var err error
		if a.Watch, err = intervalOrOff(d); err != nil {
			return err
		}
	}
	return nil
}

// intervalOrOff reads the one argument of an option: off is negative.
func intervalOrOff(d *caddyfile.Dispenser) (caddy.Duration, error) {
	name := d.Val()
	var every string
	if !d.AllArgs(&every) {
		return 0, d.ArgErr()
	}
	if every == "off" {
		return -1, nil
	}
	dur, err := caddy.ParseDuration(every)
	if err != nil || dur <= 0 {
		return 0, d.Errf("%s %q: write an interval such as 2s, or off", name, every)
	}
	return caddy.Duration(dur), nil
}

// atLeastOne reads the one argument of an option.
func atLeastOne(d *caddyfile.Dispenser) (int, error) {
	name := d.Val()
	var text string
	if !d.AllArgs(&text) {
		return 0, d.ArgErr()
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, d.Errf("%s %q: write a number such as 20, or leave the option out", name, text)
	}
	return n, nil
}

func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	m := new(Handler)
	return m, m.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive:
//
//	meter [<matcher>] {
//		account        <placeholder>
//		member         <placeholder>
//		max_body       <size>
//		body_timeout   <duration>
//		on_disconnect  cancel | drain [<max>]
//		hold durable | overlap
//		on_store_error reject | pass
//		refusal_format  auto | openai | anthropic | gemini | problem | none
//		upgrade        reject | meter
//		unknown_ids    reject | pass [<kinds>…]
//		stream_comment
//	}
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // "meter"
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		if err := h.option(d); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) option(d *caddyfile.Dispenser) error {
	name := d.Val()
	if name == "denial_format" {
		name = "refusal_format"
		caddy.Log().Warn("denial_format is now called refusal_format; the old name still works", zap.String("file", d.File()), zap.Int("line", d.Line()))
	}
	texts := map[string]*string{
		"account": &h.Account, "member": &h.Member, "on_store_error": &h.OnStoreError, "refusal_format": &h.RefusalFormat,
		"upgrade": &h.Upgrade, "hold": &h.Hold,
	}
	switch {
	case texts[name] != nil:
		if !d.AllArgs(texts[name]) {
			return d.ArgErr()
		}
		return h.sensible(d, name, *texts[name])
	case name == "max_body":
		var size string
		if !d.AllArgs(&size) {
			return d.ArgErr()
		}
		n, err := humanize.ParseBytes(size)
		if err != nil || n == 0 || n > 1<<30 {
			return d.Errf("max_body %q: write a size such as 20MB, at most 1GB", size)
		}
		h.MaxBody = int64(n) //nolint:gosec // at most 1 GB
	case name == "body_timeout":
		var text string
		if !d.AllArgs(&text) {
			return d.ArgErr()
		}
		most, err := caddy.ParseDuration(text)
		if err != nil || most <= 0 || most > time.Hour {
			return d.Errf("body_timeout %q: write a duration such as 5m, at most 1h", text)
		}
		h.BodyTimeout = caddy.Duration(most)
	case name == "on_disconnect":
		return h.parseDisconnect(d)
	case name == "unknown_ids":
		return h.parseUnknownIDs(d)
	case name == "stream_comment":
		if d.NextArg() {
			return d.ArgErr()
		}
		h.StreamComment = true
	default:
		return d.Errf("meter has no option %q; it has account, member, max_body, body_timeout, on_disconnect, hold, on_store_error, refusal_format, upgrade, unknown_ids and stream_comment", name)
	}
	return nil
}

// sensible catches at parse time what Validate would only see later, with a line number.
func (h *Handler) sensible(d *caddyfile.Dispenser, name, value string) error {
	var err error
	switch name {
	case "account", "member":
		if !strings.Contains(value, "{") {
			return d.Errf("%s %q would be the same for every request; write a placeholder such as {http.auth.user.id}", name, value)
		}
	case "on_store_error":
		err = oneOf(name, value, "reject", "pass")
	case "hold":
		err = oneOf(name, value, "durable", "overlap")
	case "upgrade":
		err = oneOf(name, value, "reject", "meter")
	case "refusal_format":
		err = oneOf(name, value, "auto", "openai", "anthropic", "gemini", "problem", "none")
	}
	if err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (h *Handler) parseUnknownIDs(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || args[0] != "pass" && (args[0] != "reject" || len(args) > 1) {
		return d.Err("write: unknown_ids reject, or: unknown_ids pass [<kinds>…], such as: unknown_ids pass files vector_stores")
	}
	h.UnknownIDs = args[1:]
	if len(args) == 1 {
		h.UnknownIDs = []string{map[string]string{"pass": "*", "reject": ownership.NoUnknownIDs}[args[0]]}
	}
	return nil
}

func (h *Handler) parseDisconnect(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 || len(args) == 2 && args[0] != "drain" {
		return d.Err("write: on_disconnect cancel, or: on_disconnect drain [<max>]")
	}
	if err := oneOf("on_disconnect", args[0], "cancel", "drain"); err != nil {
		return d.WrapErr(err)
	}
	h.OnDisconnect = args[0]
	if len(args) == 2 {
		most, err := caddy.ParseDuration(args[1])
		if err != nil || most <= 0 || most > time.Hour {
			return d.Errf("on_disconnect drain %q: write a duration such as 2m, at most 1h", args[1])
		}
		h.DrainMax = caddy.Duration(most)
	}
	return nil
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
